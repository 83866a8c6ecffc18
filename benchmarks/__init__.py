"""Toolgate beside other proxies, measured in one run. See docs/performance.md."""
