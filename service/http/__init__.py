"""HTTP `/v1`: the application, its routes, and what all routes keep to."""
