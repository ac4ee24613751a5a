"""What tells others how a process and the platform are: metrics, and whether they live."""
