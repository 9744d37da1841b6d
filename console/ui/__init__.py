"""The terminal screen. Reads the state, dispatches intents, knows nothing else."""
