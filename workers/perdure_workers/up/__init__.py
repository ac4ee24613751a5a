"""The process manager behind ``perdure up``: it starts Redis, workers and Flower, restarts what dies, ends them all."""
