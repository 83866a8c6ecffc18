"""``toolgate mcp stdio``: a local MCP server that speaks stdio, served as Streamable HTTP."""
