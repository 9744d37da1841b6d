"""Building images through the engine: context, request, trace, steps."""
