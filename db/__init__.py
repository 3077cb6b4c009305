"""Tables, engine, migrations and leases. Knows no domain rule and never loads torch."""
