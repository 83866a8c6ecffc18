"""Calls decided outside of time: tests of policies, and recorded calls decided again. Quiet."""
