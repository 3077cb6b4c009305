"""Sentence encoders that need no torch."""
