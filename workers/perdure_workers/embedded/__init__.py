"""Real servers from wheels: Redis and PostgreSQL for a laptop, a demo or a test, with nothing to install by hand."""
