"""What workers of chaos tests are started with: ``perdure worker normal -A chaos_app``."""

from chaos_jobs import build

app = build()
