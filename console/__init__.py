"""splitdeck: a terminal console for developing containerised apps on split images."""

__version__ = "0.1.0"
