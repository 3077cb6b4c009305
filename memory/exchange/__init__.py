"""In and out: one module per format. What is written here is documented in docs/exchange.md."""
