"""Jobs that the tests of Flower watch."""

from __future__ import annotations

from typing import Annotated, Any

from chaos_jobs import FOLDER, await_release, note
from chaos_jobs import build as build_chaos

from perdure import JobContext, Perdure, RetryPolicy, Secret


def build(**settings: Any) -> Perdure:
    """Return the application."""
    app = build_chaos(**settings)

    @app.job(name="add", bulkhead="critical")
    def add(a: int, b: int) -> int:
        return a + b

    @app.job(name="divide", retry="none")
    def divide(a: int, b: int) -> float:
        return a / b

    @app.job(name="sign_in")
    def sign_in(
        user: str, password: str, card: Annotated[str, Secret] = "", options: dict[str, Any] | None = None
    ) -> dict[str, str]:
        return {"user": user, "token": "t-4444"}

    @app.job(name="fail_until_open", retry=RetryPolicy(max_retries=50, base=1.0, max_delay=1.0))
    def fail_until_open(gate: str) -> str:
        if not (FOLDER / f"{gate}.open").exists():
            raise ValueError(f"not {gate}")
        return gate

    @app.job(name="hold_background", bulkhead="background")
    def hold_background(ctx: JobContext, gate: str) -> None:
        note(ctx, "start")
        await_release(gate)

    return app
