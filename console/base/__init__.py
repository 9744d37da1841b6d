"""The base image: which one is meant, whether it is here."""
