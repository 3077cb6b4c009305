"""The graph: people, facts in time, emotions, constitutions, retrieval. Imports `db` only; never loads torch."""
