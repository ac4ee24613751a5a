"""A worker: a main process and the children that run jobs."""
