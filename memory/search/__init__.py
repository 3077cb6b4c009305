"""The parts of retrieval: full text, vectors, walks over the graph, phrases of time, and their fusion."""
