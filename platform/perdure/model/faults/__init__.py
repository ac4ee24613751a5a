"""Faults that are injected on purpose: what they are, whether one strikes, and the places where they act."""
