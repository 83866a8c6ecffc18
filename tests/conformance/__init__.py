"""The official MCP conformance suite, run directly and through the gateway, and compared check by check."""
