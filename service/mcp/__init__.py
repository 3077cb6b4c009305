"""MCP: our own tools and those of the official memory server, over HTTP and standard input."""
