"""What jobs and users say is text: no markup, no escapes on a terminal, no line that is not one; tables fit."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from perdure.ledger import Ledger
from perdure.model.records import Claim
from support.cli import Run
from support.ledgers import DIE, RETRY, claimed

pytestmark = pytest.mark.slow

HOSTILE = [
    r"\[/x]",
    "[/x]",
    "[red]see [/nothing] [link=x]",
    "[@click=app.bell]x[/]",
    "\x1b]52;c;aGk=\x07\x1b[2J\x1b[1A",
    "\x9b2J",
    "line\nforged: all is well",
    "access\u202elevel\u2066",
    "\ud800".encode("utf-8", "backslashreplace").decode(),
    "a" * 300,
    "漢字" * 90,
]
TABLES = [
    ["jobs", "list"],
    ["jobs", "show", "{job}"],
    ["jobs", "wait", "{dead}"],
    ["why", "{job}"],
    ["dead", "list"],
    ["dead", "groups"],
    ["dead", "show", "{letter}"],
    ["dead", "audit"],
    ["dead", "replay", "--all", "--dry-run"],
    ["bulkheads", "list"],
    ["workers", "list"],
    ["jobs", "tasks"],
    ["breakers", "list"],
]
#: What a terminal acts on.
ACTED_ON = "\x1b\x07\x9b\x08\r\u202e\u2066"


@pytest.fixture(params=HOSTILE, ids=lambda text: ascii(text)[1:16])
def said(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def world(said: str, perdure: Run, ledger: Ledger) -> dict[str, str]:
    """A ledger in which everything says something hostile."""

    def claim() -> Claim:
        submitted = perdure("submit", "shop.add", "--args", "[1]", "--tag", "note=x", "--json").json["id"]
        return claimed(ledger, submitted)

    row = {"id": "w-1", "name": said[:99], "bulkhead": "critical", "host": said[:99], "pid": 7, "concurrency": 2}
    ledger.workers.register({**row, "lease_ttl": 60.0, "lock_path": None})
    failed, died = claim(), claim()
    ledger.running.report_progress(failed.job_id, failed.fence, 1, 2, said)
    ledger.jobs.settle(failed, replace(RETRY, error=said, error_type=said[:99], traceback=said))
    letter = ledger.jobs.settle(died, replace(DIE, error=said, error_type=said[:99], traceback=f"Traceback\n{said}"))
    assert letter is not None
    assert perdure("dead", "note", letter, f"note {said}"[:500]).code == 0
    assert perdure("bulkheads", "pause", "normal", "--reason", said).code == 0
    return {"job": failed.job_id, "dead": died.job_id, "letter": letter}


def test_tables(perdure: Run, world: dict[str, str], said: str) -> None:
    for command in TABLES:
        arguments = [part.format(**world) for part in command]
        for columns in (80, 200):
            ended = perdure(*arguments, columns=columns)
            assert ended.code in (0, 3), (arguments, ended.err)
            assert not set(ended.out + ended.err) & set(ACTED_ON), arguments
            assert "\nforged" not in ended.out.replace("Traceback\nline\nforged", ""), arguments
            if command[:2] not in (["jobs", "wait"], ["dead", "show"]) and command[0] != "why":
                assert max(map(width, ended.out.splitlines())) <= columns, (arguments, ended.out)


def test_json(perdure: Run, world: dict[str, str], said: str) -> None:
    for command in (["jobs", "list"], ["jobs", "show", world["job"]], ["dead", "list"], ["workers", "list"]):
        ended = perdure(*command, "--json")
        assert not set(ended.out) & set(ACTED_ON)
        assert any(said[:99] in text for text in values(ended.json))


def width(line: str) -> int:
    from rich.cells import cell_len

    return cell_len(line)


def values(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in values(item)]
    if isinstance(value, list):
        return [text for item in value for text in values(item)]
    return [str(value)]
