"""Tasks, and how jobs are made of their calls."""
