"""Deciding what a save leads to, and carrying it out: the latest save wins."""
