"""What Flower's pages and ``perdure top`` show of jobs, tasks and bulkheads, read in one place."""
