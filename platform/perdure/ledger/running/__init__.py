"""Statements of a running job: its claim, checkpoints, steps and replicas."""
