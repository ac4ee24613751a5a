"""What ``-A`` names in the tests of Flower: perdure's application, and Celery's for plain ``celery flower``."""

from flower_jobs import build

app = build()
celery = app.celery
