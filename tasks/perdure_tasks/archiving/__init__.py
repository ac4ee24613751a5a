"""The parts of ``files.archive``: walking a tree, tar headers, the file pair that grows, what a checkpoint holds."""
