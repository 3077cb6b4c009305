"""What CLI, HTTP and MCP share: each use as functions over `Services`, with the JSON that all of them answer."""
