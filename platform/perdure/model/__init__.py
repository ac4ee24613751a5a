"""What perdure speaks of, without I/O: states, records, decisions. Everything above depends on it, and it on nothing."""
