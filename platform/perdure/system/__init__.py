"""What perdure asks of the operating system and of what is installed."""
