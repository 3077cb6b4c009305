"""One module per export format, and the detection that chooses between them."""
