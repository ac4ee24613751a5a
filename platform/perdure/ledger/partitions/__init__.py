"""History in partitions by time, on PostgreSQL: what succeeded moves there in batches, and goes as a whole."""
