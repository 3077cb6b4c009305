"""Language models in process: load, adapters, generate, capture. The only package part that loads torch for reading and writing text."""
