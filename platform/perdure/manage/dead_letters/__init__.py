"""Dead letters above the ledger: finding, replaying, resolving, moving and noticing them."""
