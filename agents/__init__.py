"""Whatever reads or writes language: model runtime, back-ends and roles. Light to import: torch lives in leaves."""
