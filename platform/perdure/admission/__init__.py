"""What may start now: limits and circuit breakers."""
