"""A code-search server for AI assistants: the app that this repository's sample images hold."""

__version__ = "1.0.0"

# Shown by /health. Edit it, save, and see it served.
BANNER = "Find code by what it means."
