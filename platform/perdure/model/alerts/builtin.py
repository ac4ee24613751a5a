"""The rules that every application has. Settings change them: ``[alerts.rules.NAME]``."""

from __future__ import annotations

from msgspec.structs import replace

from perdure.model.alerts.rule import Rule, Severity
from perdure.model.alerts.slo import WINDOWS

INFO, WARNING, CRITICAL = Severity.INFO, Severity.WARNING, Severity.CRITICAL
#: Seconds of the window in which failures are counted, and calls that it must have.
FAILURE_WINDOW, LEAST_CALLS = 300.0, 10
#: Bytes of free space below which people should make room.
LEAST_FREE = 512.0 * 1024 * 1024
#: Jobs that wait below which a queue that grows is no backlog.
LEAST_BACKLOG = 100

_BURN_TODO = "See which of its jobs fail or are late: perdure slo, perdure jobs list --task TASK. Roll back, or make room."

BUILTIN: tuple[Rule, ...] = (
    Rule(
        "high_failure_rate",
        "failure_rate",
        WARNING,
        "Read its newest errors: perdure dead groups --task TASK. If it is a release, roll back or pause its bulkhead.",
        above=0.05,
        clear=0.03,
        keep=60.0,
    ),
    Rule(
        "dead_letter_group_new",
        "dead_letters_new",
        WARNING,
        "Read its newest letter: perdure dead list --fingerprint F. Mend the cause, then replay or discard it.",
        above=0.0,
    ),
    Rule(
        "dead_letter_group_regressed",
        "dead_letters_regressed",
        WARNING,
        "It was dealt with before. Roll back, or mend it again: perdure dead list --fingerprint F.",
        above=0.0,
    ),
    Rule(
        "dead_letters_growing",
        "dead_letters_growth",
        WARNING,
        "Something got worse: compare its newest letter with older ones. Pause the task's bulkhead if it goes on.",
        above=2.0,
        clear=1.5,
    ),
    Rule(
        "queue_too_old",
        "queue_age",
        WARNING,
        "Ask what holds the oldest job: perdure why JOB. Start more workers, or raise a limit.",
        above=300.0,
        clear=150.0,
    ),
    Rule(
        "queue_too_deep",
        "queue_depth",
        WARNING,
        "Start more workers: perdure worker BULKHEAD. Find what submits so much: perdure jobs list --bulkhead BULKHEAD.",
        above=10_000.0,
        clear=8_000.0,
        hold=60.0,
    ),
    Rule(
        "backlog_growing",
        "backlog_growth",
        WARNING,
        "More jobs come than are done, so this does not clear by itself: start more workers, or submit less.",
        above=0.0,
        hold=600.0,
        keep=60.0,
    ),
    Rule(
        "breaker_open",
        "breaker_open",
        WARNING,
        "See that what it guards works again. It tries by itself, and its jobs wait unharmed: perdure breakers list.",
        above=0.0,
        hold=300.0,
    ),
    Rule(
        "worker_failed",
        "worker_failed",
        WARNING,
        "Its jobs were given to others. See in its log and the kernel's why it ended (memory?), and start it again.",
        above=0.0,
    ),
    Rule(
        "bulkhead_unserved",
        "bulkhead_unserved",
        CRITICAL,
        "Nobody works there: start a worker with perdure worker BULKHEAD.",
        above=0.0,
        hold=15.0,
    ),
    Rule(
        "checkpoint_failures",
        "checkpoint_failures",
        WARNING,
        "See that the checkpoint store can be reached and has room: perdure checkpoints verify.",
        above=0.0,
        keep=60.0,
    ),
    Rule(
        "bells_lost",
        "bells_lost",
        WARNING,
        "Jobs start at the pace of looks, one a second. See that Redis runs, has room, and is the same one for "
        "submitters and workers (broker_url, redis_prefix).",
        above=0.5,
        clear=0.25,
        hold=60.0,
        keep=60.0,
    ),
    Rule(
        "disk_low",
        "disk_free",
        CRITICAL,
        "Make room, or move the data folder: on a full disk nothing is accepted.",
        below=LEAST_FREE,
        clear=LEAST_FREE * 1.25,
    ),
    Rule(
        "health_check_critical",
        "health_check",
        CRITICAL,
        "See what this check needs: perdure health.",
        above=0.0,
        match={"critical": "yes"},
    ),
    Rule(
        "health_check",
        "health_check",
        WARNING,
        "See what this check needs: perdure health.",
        above=0.0,
        hold=30.0,
        match={"critical": "no"},
    ),
    *(
        Rule(
            f"slo_burn_{window.name}",
            f"slo_burn_{window.name}",
            WARNING if window.name == "slow" else CRITICAL,
            _BURN_TODO,
            above=window.share,
        )
        for window in WINDOWS
    ),
    Rule(
        "bulkhead_paused", "bulkhead_paused", INFO, "Resume it when that is over: perdure bulkheads resume NAME.", above=0.0
    ),
    Rule(
        "schedule_paused", "schedule_paused", INFO, "Resume it when that is over, and backfill what it missed.", above=0.0
    ),
    Rule("breaker_forced", "breaker_forced", INFO, "Reset it when that is over: perdure breakers reset NAME.", above=0.0),
)


def builtin(queue_age_limit: float) -> list[Rule]:
    """Return the built-in rules; ``queue_age_limit`` in seconds is the setting of that name."""
    return [
        replace(rule, above=queue_age_limit, clear=queue_age_limit / 2) if rule.name == "queue_too_old" else rule
        for rule in BUILTIN
    ]
