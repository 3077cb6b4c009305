"""The daemon: what it serves, when nights begin and where, its metrics, logs, backups and readiness."""
