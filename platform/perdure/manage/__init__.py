"""What people do with jobs, workers, bulkheads and dead letters."""
