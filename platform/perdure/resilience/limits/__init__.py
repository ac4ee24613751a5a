"""How much may happen at once, and how often."""
