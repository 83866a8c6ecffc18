"""An MCP server on the official Python SDK that has every tool, resource and prompt which the conformance suite calls.

Start it with ``python -m tests.conformance.everything --port N``; it serves ``http://127.0.0.1:N/mcp``.
"""
