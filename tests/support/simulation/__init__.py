"""A simulated platform: real ledger, real decisions, and a clock, broker and processes that a seed moves."""
