"""What stores keep things in."""
