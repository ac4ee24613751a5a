"""``perdure simulate``: how long jobs would wait, by a simulation with the platform's own decisions."""
