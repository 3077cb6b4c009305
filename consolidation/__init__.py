"""The night: one module per stage, and what the stages share. Light to import: torch lives in leaves."""
