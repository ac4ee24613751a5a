"""An application whose jobs have a worker do all that workers do."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import perdure_tasks
from perdure import AutoReplay, Discard, JobContext, NodeUnfit, Perdure, RetryPolicy, Snooze
from perdure.manage.primary_backup import Operation

#: Seconds after which a job that nobody ends gives up.
PATIENCE = 60.0
FOLDER = Path(os.environ.get("CHAOS_FOLDER", "."))
#: Fails twice, and then is tried again.
BREAKER = {"failure_threshold": 2, "recovery_timeout": 1.0, "recovery_growth": 1.0, "slow_start": 1.0}


class Shelf:
    """A member of the group ``stock``."""

    def __init__(self, name: str) -> None:
        self.name = name

    def ping(self) -> bool:
        return True

    def reserve(self, operation: Operation) -> str:
        return f"{operation.value} at {self.name}"


def build(**settings: Any) -> Perdure:
    """Return the application."""
    app = Perdure(**settings, resilience={"breakers": {"payments": BREAKER}})
    perdure_tasks.register(app)

    @app.job(name="add")
    def add(a: int, b: int) -> int:
        return a + b

    @app.job(name="say")
    def say(ctx: JobContext, large: str) -> str:
        ctx.log.info("about to say %d letters", len(large))
        time.sleep(1.5)  # what it says is written meanwhile
        ctx.log.warning("said")
        return large

    @app.job(name="go on", retry=RetryPolicy(max_retries=3, base=0.01, max_delay=0.1))
    def go_on(ctx: JobContext, total: int) -> list[int]:
        sums = ctx.checkpoint.named("sums").load(default=[])
        for number in ctx.iterate(range(total)):
            sums = [*sums, number]
            ctx.checkpoint.named("sums").save(sums)
            ctx.step(f"double {number}", lambda number=number: number * 2)
            if number == total // 2 and ctx.attempt == 1:
                raise ConnectionError("once")
        ctx.checkpoint.clear()
        return sorted(set(sums))

    @app.job(name="parent")
    def parent(ctx: JobContext) -> int:
        child = add.submit(1, 2)
        other = add.options(tags={"of": "parent"}, idempotency_key=ctx.idempotency_key).submit(3, 4)
        third = add.options(delay=3600.0).submit(5, 6)
        assert third.cancel("by its parent")
        assert third.refresh().state == "cancelled"
        return child.wait(PATIENCE) + other.wait(PATIENCE)

    @app.job(name="snooze")
    def snooze(ctx: JobContext) -> int:
        if not (FOLDER / "snoozed").exists():
            (FOLDER / "snoozed").touch()
            raise Snooze(0.1)
        return ctx.attempt

    @app.job(name="fail", retry="none")
    def fail(how: str) -> None:
        if how == "discard":
            raise Discard("it is of no use")
        raise ValueError(how)

    @app.job(name="sleep", retry="none", timeout=0.5)
    def sleep() -> None:
        time.sleep(PATIENCE)

    @app.job(name="hold")
    def hold(ctx: JobContext) -> None:
        (FOLDER / f"{ctx.job_id}.holds").touch()
        time.sleep(PATIENCE)

    @app.job(name="polite")
    def polite(ctx: JobContext) -> None:
        (FOLDER / f"{ctx.job_id}.holds").touch()
        for _ in range(int(PATIENCE / 0.05)):
            ctx.check()
            time.sleep(0.05)

    @app.job(name="die")
    def die(ctx: JobContext, times: int) -> int:
        if ctx.attempt <= times:
            os.kill(os.getpid(), signal.SIGKILL)
        return ctx.attempt

    @app.job(name="particular")
    def particular(ctx: JobContext) -> int:
        if ctx.attempt == 1:
            raise NodeUnfit("the disk is read-only")
        return ctx.attempt

    @app.job(name="pay", breaker="payments", retry="none", auto_replay=AutoReplay(rate="10/s"))
    def pay() -> None:
        if not (FOLDER / "paid").exists():
            raise ConnectionError("payments does not answer")

    @app.job(name="narrow", limit=1, limit_by="tenant")
    def narrow(tenant: str) -> str:
        return tenant

    @app.job(name="paced", rate=20.0)
    def paced() -> None: ...

    @app.job(name="vote", replicas=3, retry="none")
    def vote() -> str:
        return "yes"

    @app.periodic(every=1.0, name="tick")
    def tick(ctx: JobContext) -> None:
        assert ctx.tick

    app.primary_backup("stock", {"eu": Shelf("eu"), "us": Shelf("us")}, Shelf.reserve, check=Shelf.ping)

    @app.on_node_failure
    def failed(_event: object) -> None:
        (FOLDER / "node failed").touch()

    @app.dead_letters.on_new_group
    def new_group(_notice: object) -> None:
        (FOLDER / "new group").touch()

    @app.job(name="load")
    def load() -> int:
        import sqlalchemy  # noqa: F401 - what the others do without

        return os.getpid()

    return app
