"""Who may ask for what: callers, tokens, scopes, limits and the guard before every request."""
