"""Small trained heads that ship with the package."""
