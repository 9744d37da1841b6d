"""Noticing saves: the watcher and what it leaves out."""
