"""The app's container: create, swap, readiness, logs."""
