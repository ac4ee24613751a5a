"""Sources that a job can go on reading where it stopped."""
