"""``perdure chaos``: a platform of its own is broken on purpose under load, and judged by evidence from outside of it."""
