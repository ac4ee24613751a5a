"""perdure: fault-tolerant jobs on Celery. The ledger owns the job, the broker carries a ticket."""
