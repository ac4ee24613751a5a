"""An older release of the application: it knows none of the jobs."""

from perdure import Perdure

app = Perdure()
