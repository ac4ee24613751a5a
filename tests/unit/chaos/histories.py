"""Forged and true histories of the chaos lab."""

from __future__ import annotations

from perdure_workers.chaos.history import Effect, Fault, History, Reported, Rules, Submission


def effect(what: str, at: float, *, fence: int = 1, job: str = "j1", key: str = "march-1", **more: object) -> Effect:
    return Effect(what=what, key=key, job=job, fence=fence, pid=100 + fence, at=at, **more)  # type: ignore[arg-type]


def submission(key: str, job: str, task: str, at: float, **more: object) -> Submission:
    return Submission(key=key, task=task, at=at, answer="accepted", job=job, **more)  # type: ignore[arg-type]


def reported(key: str, job: str, task: str, outcomes: dict[int, str], state: str = "succeeded") -> Reported:
    crashes = list(outcomes.values()).count("crashed")
    return Reported(key=key, job=job, task=task, state=state, crashes=crashes, outcomes=outcomes)


#: A job that was killed after its second step, one that failed once, one that wrote rows, a poison pill, calm ones.
TRUE = History(
    submissions=[
        submission("march-1", "j1", "chaos.march", 1.0, digest="d1"),
        submission("flaky-2", "j2", "chaos.flaky", 1.0, failures=1),
        submission("pay-3", "j3", "chaos.pay", 1.0),
        submission("poison-4", "j4", "chaos.poison", 1.0, ends=("dead",)),
        submission("calm-5", "j5", "chaos.calm", 1.0),
        submission("calm-6", "j6", "chaos.calm", 3.0),
        Submission(key="lost-answer-7", task="chaos.quick", at=3.0, answer="unknown"),
    ],
    effects=[
        effect("started", 1.1, digest="d1"),
        effect("resumed", 1.1, number=0),
        effect("saved", 1.2, number=1),
        effect("saved", 1.3, number=2),
        effect("started", 2.0, fence=2, digest="d1"),
        effect("resumed", 2.0, fence=2, number=2),
        effect("saved", 2.1, fence=2, number=3),
        effect("ended", 2.2, fence=2),
        effect("started", 1.1, job="j2", key="flaky-2"),
        effect("raised", 1.2, job="j2", key="flaky-2"),
        effect("started", 1.5, job="j2", key="flaky-2", fence=2),
        effect("ended", 1.6, job="j2", key="flaky-2", fence=2),
        effect("started", 1.1, job="j3", key="pay-3"),
        effect("ended", 1.2, job="j3", key="pay-3"),
        effect("started", 1.1, job="j4", key="poison-4"),
        effect("started", 1.4, job="j4", key="poison-4", fence=2),
        effect("started", 1.1, job="j5", key="calm-5"),
        effect("ended", 1.1, job="j5", key="calm-5"),
        effect("started", 3.1, job="j6", key="calm-6"),
        effect("ended", 3.1, job="j6", key="calm-6"),
        effect("refused", 1.0, job="j8", key="march-1"),
        effect("refused", 2.0, job="j8", key="march-1"),
        effect("refused", 3.0, job="j8", key="march-1"),
    ],
    reports=[
        reported("march-1", "j1", "chaos.march", {1: "crashed", 2: "succeeded"}),
        reported("flaky-2", "j2", "chaos.flaky", {1: "failed", 2: "succeeded"}),
        reported("pay-3", "j3", "chaos.pay", {1: "succeeded"}),
        reported("poison-4", "j4", "chaos.poison", {1: "crashed", 2: "crashed"}, "dead"),
        reported("calm-5", "j5", "chaos.calm", {1: "succeeded"}),
        reported("calm-6", "j6", "chaos.calm", {1: "succeeded"}),
    ],
    rows={("pay-3", 0): 1, ("pay-3", 1): 1},
    faults=[Fault(name="kill worker", begun=1.5, ended=1.5)],
    servers={"redis-server": "7.2.0"},
    begun=1.0,
    ended=4.0,
    rules=Rules(max_crashes=2, opening_calls=1, flood=(2.0, 4.0), patience=5.0),
)
