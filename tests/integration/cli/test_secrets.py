"""No command shows a secret, wherever it stands: arguments, results, errors, tracebacks, steps, exports."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from msgspec.structs import replace

from perdure.ledger import Ledger
from perdure.model.records import Claim
from support.cli import Ended, Run
from support.ledgers import DIE, RETRY, SUCCEED
from support.ledgers import claimed as claimed_in

SECRET = "hunter2-4711"
APP = """
from typing import Annotated, Any
from perdure import Perdure, Secret

app = Perdure()

@app.job(name="vault.pay")
def pay(card: Annotated[str, Secret], config: dict[str, Any], cents: int = 5) -> dict[str, Any]: ...
"""
ARGS = json.dumps([SECRET, {"db": {"password": SECRET}, "note": f"card {SECRET}"}])


@pytest.fixture
def vault(perdure: Run, folder: Path) -> Run:
    (folder / "cli_vault.py").write_text(APP)

    def run(*arguments: str, **options: object) -> Ended:
        return perdure(*arguments, **{"app": "cli_vault:app", **options})

    return run


@pytest.fixture
def claimed(vault: Run, ledger: Ledger) -> Callable[[], Claim]:
    numbers = count()

    def claim() -> Claim:
        named = ["--tag", f"card={SECRET}", "--key", f"{next(numbers)}-{SECRET}", "--json"]
        submitted = vault("submit", "vault.pay", "--args", ARGS, *named)
        return claimed_in(ledger, submitted.json["id"])

    return claim


def died(ledger: Ledger, claim: Claim) -> str:
    error, trace = f"card {SECRET!r} refused", f'Traceback\n  charge("{SECRET}")\nValueError: card {SECRET!r} refused'
    letter = ledger.jobs.settle(claim, replace(DIE, error=error, traceback=trace))
    assert letter is not None
    return letter


@pytest.mark.parametrize("as_json", [[], ["--json"]], ids=["table", "json"])
@pytest.mark.parametrize("app", ["cli_vault:app", None], ids=["known", "unknown"])
def test_jobs(vault: Run, ledger: Ledger, claimed: Callable[[], Claim], as_json: list[str], app: str | None) -> None:
    done, failed = claimed(), claimed()
    ledger.running.report_progress(done.job_id, done.fence, 1, 2, f"charging {SECRET}")
    ledger.jobs.settle(done, replace(SUCCEED, result=json.dumps({"echo": f"paid by {SECRET}", "ok": True})))
    ledger.jobs.settle(failed, replace(RETRY, error=f"password {SECRET}", traceback=f"Traceback {SECRET}"))
    for job_id in (done.job_id, failed.job_id):
        shown = vault("jobs", "show", job_id, *as_json, app=app)
        assert shown.code == 0
        assert app is None or SECRET not in shown.out + shown.err
        assert f'{SECRET}"' not in shown.out.partition("result_json")[0].partition("kwargs")[0]
    listed = vault("jobs", "list", *as_json, app=app)
    assert listed.code == 0
    assert app is None or SECRET not in listed.out
    assert "vault.pay" in listed.out
    why = vault("why", failed.job_id, *as_json, app=app)
    assert app is None or SECRET not in why.out


@pytest.mark.parametrize("as_json", [[], ["--json"]], ids=["table", "json"])
def test_waiting(vault: Run, ledger: Ledger, claimed: Callable[[], Claim], as_json: list[str]) -> None:
    done, dead = claimed(), claimed()
    ledger.jobs.settle(done, replace(SUCCEED, result=json.dumps({"echo": f"paid by {SECRET}", "ok": True})))
    died(ledger, dead)
    ended = vault("jobs", "wait", done.job_id, *as_json)
    assert (ended.code, SECRET in ended.out + ended.err) == (0, False)
    assert "paid by ***" in ended.out
    ended = vault("jobs", "wait", dead.job_id, *as_json)
    assert (ended.code, SECRET in ended.out + ended.err) == (3, False)
    assert "card '***' refused" in ended.err


@pytest.mark.parametrize("as_json", [[], ["--json"]], ids=["table", "json"])
def test_dead_letters(vault: Run, ledger: Ledger, claimed: Callable[[], Claim], as_json: list[str]) -> None:
    letter = died(ledger, claimed())
    for arguments in (
        ["list"],
        ["show", letter],
        ["note", letter, f"it was {SECRET}"],
        ["discard", letter, "--reason", "x"],
    ):
        ended = vault("dead", *arguments, *as_json)
        assert ended.code == 0, ended.err
        assert SECRET not in (ended.out if arguments[0] != "note" or as_json else "")
    assert "card '***' refused" in vault("dead", "show", letter, *as_json).out
    assert SECRET in vault("dead", "show", letter, "--secrets", *as_json).out


def test_an_export_may_be_passed_on(vault: Run, ledger: Ledger, claimed: Callable[[], Claim], folder: Path) -> None:
    letter = died(ledger, claimed())
    file = folder / "letters.jsonl"
    file.write_text("an old one that everybody can read")
    file.chmod(0o644)
    assert vault("dead", "export", "-o", str(file)).code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert SECRET not in file.read_text()
    assert SECRET not in vault("dead", "export").out
    vault("dead", "purge", "--where", "status=open", "--yes")
    assert vault("dead", "import", str(file)).code == 0
    refused = vault("dead", "replay", letter)
    assert (refused.code, "card is '***', which is shown in place of a secret" in refused.err) == (1, True)
    config = '{"db": {}, "note": ""}'
    assert vault("dead", "replay", letter, "--args", f'["real", {config}]').code == 0


def test_an_export_with_secrets(vault: Run, ledger: Ledger, claimed: Callable[[], Claim], folder: Path) -> None:
    letter = died(ledger, claimed())
    assert SECRET in vault("dead", "export", "--secrets", "-o", str(folder / "all")).out + (folder / "all").read_text()
    vault("dead", "purge", "--where", "status=open", "--yes")
    vault("dead", "import", str(folder / "all"))
    assert vault("dead", "replay", letter).code == 0


def test_an_export_of_tasks_that_are_not_known_is_refused(
    vault: Run, ledger: Ledger, claimed: Callable[[], Claim], folder: Path
) -> None:
    died(ledger, claimed())
    ended = vault("dead", "export", "-o", str(folder / "none"), app=None)
    assert (ended.code, "the task 'vault.pay' is not known here" in ended.err) == (1, True)
    assert not (folder / "none").exists()


def test_an_option_that_cannot_be_read_is_not_repeated(vault: Run) -> None:
    ended = vault("submit", "vault.pay", "--args", f'["{SECRET}"')
    assert (ended.code, SECRET in ended.err) == (1, False)
    assert "--args must be a JSON array" in ended.err
