"""The supervisor: runs the duties, each at its own pace. One in every worker, and any number alone; none is special."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence

from perdure import Perdure
from perdure.errors import LedgerUnavailable
from perdure.model.faults.places import Point, faulty
from perdure.model.metrics import DUTY
from perdure.model.tally import Tally
from perdure_workers.supervisor.blob_sweep import register_blob_sweep
from perdure_workers.supervisor.duties.add_up import AddUp
from perdure_workers.supervisor.duties.alerts import LookForAlerts
from perdure_workers.supervisor.duties.ask import Ask
from perdure_workers.supervisor.duties.auto_replay import AutoReplayer
from perdure_workers.supervisor.duties.bury import Bury
from perdure_workers.supervisor.duties.duty import Duty
from perdure_workers.supervisor.duties.expire import Expire
from perdure_workers.supervisor.duties.groups import Groups
from perdure_workers.supervisor.duties.notice import Notice
from perdure_workers.supervisor.duties.notify import Notify
from perdure_workers.supervisor.duties.report import Report
from perdure_workers.supervisor.duties.rotate import Rotate
from perdure_workers.supervisor.duties.tick import Tick
from perdure_workers.supervisor.duties.watch import Watch
from perdure_workers.supervisor.maintenance import register_maintenance
from perdure_workers.timers import until_next

logger = logging.getLogger("perdure.supervisor")


#: Seconds by which a duty may be late before its supervisor is not ready.
LATE = 30.0


def default_duties(app: Perdure) -> list[Duty]:
    """Return one of each duty, and see to it that the application has the platform's own periodic job."""
    register_maintenance(app)
    register_blob_sweep(app)
    asked_for: list[Duty] = [Watch(app), Expire(app), Bury(app), Notice(app), Notify(app)]
    duties = [Ask(app, asked_for), *asked_for, Tick(app), AutoReplayer(app), Groups(app), AddUp(app), LookForAlerts(app)]
    if app.settings.partition_period is not None:
        duties.append(Rotate(app))
    return [*duties, Report(app, duties)]


class Supervisor:
    """Runs duties, each in a thread of its own, so that one that is slow or fails holds up no other.

    Args:
        duties: What to do.
        tally: Counts how long each run took.
    """

    def __init__(self, duties: Sequence[Duty], tally: Tally) -> None:
        self._duties, self._tally = duties, tally
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(duty,), name=f"perdure-{duty.name}", daemon=True) for duty in duties
        ]

    def start(self) -> None:
        """Start all duties; returns at once."""
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """End all duties, waiting at most ``timeout`` seconds for what they are doing."""
        self._stop.set()
        for duty in self._duties:
            duty.wanted.set()
        give_up_at = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, give_up_at - time.monotonic()))

    def missing(self) -> str:
        """Return what is not done as it should be; "" when each duty was done lately."""
        late = [duty.name for duty in self._duties if duty.done_at is None or _age(duty.done_at) > duty.period + LATE]
        return f"not done lately: {', '.join(late)}" if late else ""

    def _run(self, duty: Duty) -> None:
        duty.wanted.wait(duty.begins_after)
        while True:
            duty.wanted.clear()  # before the look whether to stop, which wakes whoever rests
            if self._stop.is_set():
                return
            started = time.monotonic()
            done, outcome = self._run_once(duty)
            elapsed = time.monotonic() - started
            self._tally.observe(elapsed, DUTY, duty.name, outcome)
            if done == 0 or elapsed > duty.period:
                duty.wanted.wait(max(0.0, duty.period - elapsed) if done else until_next(duty.period))

    @staticmethod
    def _run_once(duty: Duty) -> tuple[int, str]:
        try:
            done = faulty(duty.run_once, Point.DUTY, duty=duty.name)()
            duty.done_at = time.monotonic()
            return done, "done"
        except LedgerUnavailable as error:
            logger.warning("duty %s: %s", duty.name, error)
        except Exception:
            logger.exception("duty %s failed", duty.name)
        return 0, "failed"


def _age(moment: float) -> float:
    return time.monotonic() - moment
