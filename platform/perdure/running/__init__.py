"""What a running job has: its context, checkpoints, steps, loops and transactions."""
