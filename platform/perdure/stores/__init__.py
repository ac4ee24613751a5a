"""Where checkpoints and large payloads are kept, and how they survive faults of what keeps them."""
