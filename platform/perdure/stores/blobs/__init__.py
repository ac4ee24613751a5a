"""Large payloads, kept by the hash of their content."""
