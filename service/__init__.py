"""The entrances, and the only place that wires everything: settings, CLI, HTTP, daemon."""
