"""Memory that a worker's main process and its children share."""
