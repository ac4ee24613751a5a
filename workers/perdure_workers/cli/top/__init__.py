"""``perdure top``: the platform at a glance in a terminal, kept up to date, with keys."""
