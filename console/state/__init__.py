"""What the front ends see: one immutable state, made from events."""
