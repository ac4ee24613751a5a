"""``perdure demo``: real work on real input while a worker is killed, and a check of every promise."""
