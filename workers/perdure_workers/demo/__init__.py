"""``perdure demo``: real work on real input while a worker is killed, and a check of every promise."""

from perdure_workers.demo.demo import run_demo

__all__ = ["run_demo"]
