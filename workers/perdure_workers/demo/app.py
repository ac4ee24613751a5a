"""The application as workers load it: ``perdure worker background -A perdure_workers.demo.app``."""

from perdure_workers.demo.jobs import demo_app

app = demo_app()
