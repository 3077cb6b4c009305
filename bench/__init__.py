"""Benchmarks: `python -m bench.NAME` measures us beside baselines and prints one JSON object as its last line.

Data comes by path, so that the same command runs on data nobody has seen. Nothing in the product imports this.
"""
