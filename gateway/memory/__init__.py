"""I/O. The embedded shared memory as a tool: HTTP, MCP, a stream of changes, in front of ``ports.Shelf``."""
