"""Measured builds: keeping them, and comparing like with like."""
