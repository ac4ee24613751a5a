"""The application as workers load it: ``perdure worker normal -A perdure_workers.chaos.app``."""

from perdure_workers.chaos.clock import set_clock
from perdure_workers.chaos.jobs import chaos_app

set_clock()
app = chaos_app()
