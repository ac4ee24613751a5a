"""The ledger: the SQL database that owns the jobs. All SQL of perdure is in this package."""

from perdure.ledger.ledger import Ledger

__all__ = ["Ledger"]
