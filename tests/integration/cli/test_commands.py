"""The command line against an embedded SQLite ledger: JSON on stdout, errors on stderr, exit codes for scripts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from perdure import Perdure
from perdure.ledger import Ledger
from perdure.model.records import Settlement
from perdure.model.states import Outcome, Transition
from perdure.model.worker_health import Verdict
from support.cli import Run
from support.ledgers import DIE, SUCCEED, claimed, running


def submit(perdure: Run, *arguments: str) -> str:
    ended = perdure("submit", "shop.add", "--args", "[1]", "--json", *arguments)
    assert ended.code == 0, ended.err
    return str(ended.json["id"])


def settled(ledger: Ledger, job_id: str, settlement: Any) -> None:
    ledger.jobs.settle(claimed(ledger, job_id), settlement)


def test_submit(perdure: Run) -> None:
    ended = perdure("submit", "shop.add", "--args", "[1]", "--kwargs", '{"b": 2}', "--tag", "tenant=a", "--json")
    assert (ended.code, ended.err) == (0, "")
    assert set(ended.json) == {"id", "deduplicated"}
    job = perdure("jobs", "show", ended.json["id"], "--json").json
    assert (job["task"], job["state"], job["args"], job["kwargs"]) == ("shop.add", "queued", [1], {"b": 2})
    assert (job["bulkhead"], job["tags"], job["attempts"]) == ("critical", {"tenant": "a"}, [])


def test_what_is_typed_in_becomes_the_annotated_types(perdure: Run, folder: Path) -> None:
    (folder / "cli_orders.py").write_text(
        "from dataclasses import dataclass\nfrom datetime import datetime\nfrom perdure import Perdure\n"
        "app = Perdure()\n@dataclass\nclass Item:\n    sku: str\n"
        "@app.job(name='shop.order')\ndef order(items: tuple[Item, ...], at: datetime) -> None: ...\n"
    )
    arguments = '[[{"sku": "a"}], "2026-01-01T00:00:00"]'
    ended = perdure("submit", "shop.order", "--args", arguments, "--json", app="cli_orders:app")
    assert (ended.code, ended.err) == (0, "")
    job = perdure("jobs", "show", ended.json["id"], "--json", app="cli_orders:app").json
    items = {"$": "tuple", "v": [{"sku": "a"}]}
    assert job["args"] == [items, {"$": "datetime", "v": "2026-01-01T00:00:00"}]


def test_submit_prints_the_id_alone_for_shells(perdure: Run) -> None:
    ended = perdure("submit", "shop.add", "--args", "[1]", "--key", "k")
    again = perdure("submit", "shop.add", "--args", "[1]", "--key", "k")
    assert len(ended.out.split()) == 1
    assert again.out.strip() == f"{ended.out.strip()} (submitted before)"


def test_submit_options(perdure: Run) -> None:
    job_id = submit(perdure, "--delay", "60", "--priority", "2", "--bulkhead", "normal", "--key", "k")
    job = perdure("jobs", "show", job_id, "--json").json
    assert (job["state"], job["priority"], job["bulkhead"], job["idempotency_key"]) == ("scheduled", 2, "normal", "k")
    assert job["run_at"].startswith("20")


def test_submit_without_a_broker(perdure: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERDURE_BROKER_URL", "redis://127.0.0.1:1/0")
    ended = perdure("submit", "shop.add", "--args", "[1]")
    assert (ended.code, ended.err) == (0, "")
    assert perdure("jobs", "show", ended.out.strip(), "--json").json["state"] == "queued"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["submit", "shop.ad"], 1, "UnknownTask: 'shop.ad' is not registered. Did you mean 'shop.add'?"),
        (["submit", "shop.add"], 1, "InvalidArguments: shop.add: missing a required argument: 'a'"),
        (["submit", "shop.add", "--args", '["x"]'], 1, "argument 'a': Expected `int`, got `str`"),
        (["submit", "shop.add", "--args", "[1,"], 1, "--args"),
        (["submit", "shop.add", "--args", "{}"], 1, "--args"),
        (["submit", "shop.add", "--kwargs", "[]"], 1, "--kwargs"),
        (["submit", "shop.add", "--args", "[1]", "--tag", "tenant"], 1, "tenant"),
        (["submit", "shop.add", "--args", "[1]", "--bulkhead", "fast"], 1, "UnknownBulkhead: bulkhead 'fast'"),
        (["submit", "shop.add", "--args", "[1]", "--priority", "12"], 2, "--priority"),
        (["submit"], 2, "TASK"),
        (["submt"], 2, "submt"),
        (["jobs", "show", "nobody"], 1, "JobNotFound: no job 'nobody'"),
        (["jobs", "wait", "nobody"], 1, "JobNotFound"),
        (["jobs", "cancel", "nobody"], 1, "JobNotFound"),
        (["jobs", "list", "--state", "queud"], 1, "'queud' is no job state. Did you mean 'queued'?"),
        (["jobs", "list", "--limit", "0"], 2, "--limit"),
        (["jobs", "list", "--tag", "tenant"], 1, "NAME=VALUE"),
        (["dead", "show", "nobody"], 1, "DeadLetterNotFound: no dead letter 'nobody'"),
        (["dead", "replay", "nobody"], 1, "DeadLetterNotFound"),
        (["dead", "replay"], 2, "LETTER_IDS"),
        (["bulkheads", "pause", "fast"], 1, "UnknownBulkhead"),
        (["worker", "fast"], 1, "UnknownBulkhead"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_errors_go_to_stderr_with_an_exit_code(perdure: Run, arguments: list[str], code: int, said: str) -> None:
    ended = perdure(*arguments)
    assert (ended.code, ended.out) == (code, "")
    assert said in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("app", "said"),
    [
        ("no_such_module", "no module 'no_such_module'"),
        ("cli_shop:nothing", "'nothing' in cli_shop is None, not a Perdure application"),
        ("cli_shop:add", "not a Perdure application"),
        (":app", "-A :app: write it as MODULE:ATTRIBUTE"),
    ],
)
def test_an_application_that_is_not_there(perdure: Run, app: str, said: str) -> None:
    ended = perdure("jobs", "list", app=app)
    assert (ended.code, ended.out) == (1, "")
    assert said in ended.err


def test_the_end_of_a_job_is_the_exit_code(perdure: Run, ledger: Ledger) -> None:
    done, died, cancelled, waiting = (submit(perdure) for _ in range(4))
    settled(ledger, done, SUCCEED)
    settled(ledger, died, DIE)
    ledger.jobs.cancel(cancelled, "no more")
    ended = perdure("jobs", "wait", done)
    assert (ended.code, ended.out.strip()) == (0, f"{done} succeeded: 7")
    ended = perdure("jobs", "wait", done, "--json")
    assert (ended.code, ended.json["state"], ended.json["result"]) == (0, "succeeded", 7)
    ended = perdure("jobs", "wait", died)
    assert (ended.code, ended.out) == (3, "")
    assert "ValueError: no" in ended.err
    assert "dead letter" in ended.err
    assert perdure("jobs", "wait", died, "--json").json["state"] == "dead"
    ended = perdure("jobs", "wait", cancelled)
    assert (ended.code, "was cancelled" in ended.err) == (4, True)
    ended = perdure("jobs", "wait", waiting, "--timeout", "0.05")
    assert (ended.code, "is queued after 0.05 s" in ended.err) == (5, True)
    assert perdure("submit", "shop.add", "--args", "[1]", "--wait", "--timeout", "0.05").code == 5


def test_a_purged_queue_is_brought_back(perdure: Run, ledger: Ledger) -> None:
    ids = [submit(perdure) for _ in range(3)]
    claim = claimed(ledger, ids[0])
    for each in ids:
        assert perdure("jobs", "cancel", each).code == 0
    ledger.jobs.settle(claim, Settlement(Transition.RETRY, Outcome.FAILED, delay=60.0, error="no"))
    assert [ledger.jobs.get(each).state for each in ids] == ["cancelled"] * 3
    assert perdure("jobs", "restore", ids[1][-12:], "--json").json == {"restored": [ids[1]]}
    assert sorted(perdure("jobs", "restore", "--task", "shop.add", "--json").json["restored"]) == [ids[0], ids[2]]
    again = claimed(ledger, ids[0])  # nothing of the cancel is left, and what had run before still counts
    assert (again.fence, again.attempt) == (2, 2)
    ledger.jobs.settle(again, SUCCEED)
    assert [ledger.jobs.get(each).state for each in ids] == ["succeeded", "queued", "queued"]
    ended = perdure("jobs", "restore", *ids)
    assert (ended.code, "none of these jobs is cancelled" in ended.err) == (1, True)
    assert perdure("jobs", "restore").code == 2


def test_jobs_list(perdure: Run, ledger: Ledger) -> None:
    ids = [submit(perdure, "--tag", f"n={n}") for n in range(3)]
    settled(ledger, ids[0], SUCCEED)

    def listed(*arguments: str) -> list[str]:
        return [job["id"] for job in perdure("jobs", "list", "--json", *arguments).json]

    assert listed() == ids[::-1]
    assert listed("--state", "queued") == [ids[2], ids[1]]
    assert listed("--tag", "n=1") == [ids[1]]
    assert listed("--limit", "1", "--after", ids[2]) == [ids[1]]
    assert listed("--task", "shop.add", "--bulkhead", "critical") == ids[::-1]
    assert listed("--bulkhead", "normal") == []
    assert listed("--since", "10m", "--until", "now") == ids[::-1]
    assert listed("--until", "10m") == listed("--since", "2999-01-01") == []
    marked = perdure("submit", "shop.add", "--args", "[4711]", "--json").json["id"]
    assert listed("--text", "4711") == [marked]
    assert perdure("jobs", "cancel", marked).code == 0
    table = perdure("jobs", "list").out
    assert all(job_id in table for job_id in ids)
    assert "succeeded" in table


def test_jobs_show_and_cancel(perdure: Run) -> None:
    job_id = submit(perdure)
    assert job_id in perdure("jobs", "show", job_id).out
    ended = perdure("jobs", "cancel", job_id, "--reason", "typo")
    assert (ended.code, ended.out.strip()) == (0, f"{job_id} cancelled")
    ended = perdure("jobs", "cancel", job_id)
    assert (ended.code, ended.out) == (1, "")
    assert "is cancelled already" in ended.err
    assert perdure("jobs", "cancel", submit(perdure), "--json").json["state"] == "cancelled"


def test_jobs_tasks(perdure: Run) -> None:
    [task] = perdure("jobs", "tasks", "--json").json
    assert (task["name"], task["bulkhead"], task["max_retries"], task["timeout"]) == ("shop.add", "critical", 2, 30)
    assert "shop.add(a: " in task["signature"]
    assert "shop.add" in perdure("jobs", "tasks").out


def test_dead_letters(perdure: Run, ledger: Ledger) -> None:
    job_id = submit(perdure)
    settled(ledger, job_id, DIE)
    [letter] = perdure("dead", "list", "--json").json
    assert (letter["job_id"], letter["status"], letter["error"], letter["reason"]) == (job_id, "open", "no", "exhausted")
    assert [group["count"] for group in perdure("dead", "groups", "--json").json] == [1]
    shown = perdure("dead", "show", letter["id"], "--json").json
    assert shown["traceback"] == "Traceback ..."
    assert [attempt["outcome"] for attempt in shown["attempts"]] == ["failed"]
    assert "Traceback ..." in perdure("dead", "show", letter["id"]).out
    ended = perdure("dead", "replay", letter["id"], "--args", '["x"]')
    assert (ended.code, "argument 'a'" in ended.err) == (1, True)
    [replayed] = perdure("dead", "replay", letter["id"], "--args", "[5]", "--json").json
    assert (replayed["dead_letter"], replayed["replayed_before"]) == (letter["id"], False)
    assert perdure("jobs", "show", replayed["job"], "--json").json["replay_of"] == job_id
    again = perdure("dead", "replay", letter["id"])
    assert again.out.strip() == f"{letter['id']} -> job {replayed['job']} (replayed before)"
    [letter] = perdure("dead", "list", "--status", "replayed", "--json").json
    assert letter["replayed_by"].startswith("cli:")
    assert perdure("dead", "list", "--error", "KeyError", "--json").json == []
    assert perdure("dead", "discard", letter["id"], "--reason", "done", "--json").json[0]["status"] == "discarded"
    assert letter["fingerprint"] in perdure("dead", "list").out


def test_what_a_job_says_is_text_and_no_markup(perdure: Run, ledger: Ledger) -> None:
    from msgspec.structs import replace

    settled(ledger, submit(perdure), replace(DIE, error="[red]see [/nothing] [link=x]"))
    assert "[red]see [/nothing]" in perdure("dead", "list").out


def test_the_arguments_of_a_bulk_replay_are_shown(perdure: Run, ledger: Ledger) -> None:
    settled(ledger, submit(perdure), DIE)
    perdure("dead", "replay", "--where", "task=shop.add", "--yes")
    [job] = perdure("jobs", "list", "--task", "perdure.replay", "--json").json
    assert job["args"][0]["which"]["task"] == "shop.add"


def test_bulkheads(perdure: Run) -> None:
    submit(perdure)
    rows = {row["name"]: row for row in perdure("bulkheads", "list", "--json").json}
    assert list(rows) == ["critical", "normal", "background"]
    assert (rows["critical"]["queued"], rows["critical"]["queue"]) == (1, "perdure.critical")
    ended = perdure("bulkheads", "pause", "critical", "--reason", "maintenance")
    assert (ended.code, "perdure bulkheads resume critical" in ended.out) == (0, True)
    assert perdure("bulkheads", "list", "--json").json[0]["paused"] is True
    assert perdure("bulkheads", "resume", "critical").out.strip() == "critical resumed"
    assert perdure("bulkheads", "list", "--json").json[0]["paused"] is False
    assert "background" in perdure("bulkheads", "list").out


def test_workers(perdure: Run, ledger: Ledger) -> None:
    assert perdure("workers", "list", "--json").json == []
    row = {"id": "w-1", "name": "one", "bulkhead": "normal", "host": "h", "pid": 7, "concurrency": 2}
    ledger.workers.register({**row, "lease_ttl": 60.0, "lock_path": None})
    running(ledger, worker="w-1")
    [worker] = perdure("workers", "list", "--json").json
    assert {name: worker[name] for name in row} == row
    assert (worker["state"], worker["running"]) == ("healthy", 1)
    assert "1/2" in perdure("workers", "list").out
    ledger.workers.change_state("w-1", "gone", "left")
    assert perdure("workers", "list", "--json").json == []
    assert perdure("workers", "list", "--all", "--json").json[0]["state"] == "gone"


def test_db(perdure: Run, folder: Path) -> None:
    ended = perdure("db", "check")
    assert (ended.code, "as it should be" in ended.out) == (0, True)
    assert perdure("db", "upgrade").code == 0
    (folder / ".perdure" / "ledger.db").unlink()
    ended = perdure("db", "check")
    assert (ended.code, ended.out) == (1, "")
    assert "has schema none" in ended.err
    assert "perdure db upgrade" in ended.err
    assert perdure("db", "upgrade").code == 0
    assert perdure("db", "check").code == 0


def test_db_on_postgresql(perdure: Run, bare_postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERDURE_LEDGER_URL", bare_postgres_url)
    ended = perdure("jobs", "list")
    assert (ended.code, "Run: perdure db upgrade" in ended.err) == (1, True)
    ended = perdure("db", "upgrade")
    assert (ended.code, "***" in ended.out) == (0, True)
    assert perdure("db", "check").code == 0
    assert perdure("jobs", "list", "--json").json == []


def test_a_ledger_that_is_down(perdure: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERDURE_LEDGER_URL", "postgresql://ann:s3cret@127.0.0.1:1/shop")
    ended = perdure("submit", "shop.add", "--args", "[1]")
    assert (ended.code, ended.out) == (1, "")
    assert "LedgerUnavailable: ledger postgresql+psycopg://ann:***@127.0.0.1:1/shop" in ended.err


def test_a_wrong_setting(perdure: Run, folder: Path) -> None:
    (folder / "perdure.toml").write_text("max_crahes = 3")
    ended = perdure("jobs", "list")
    assert (ended.code, ended.out) == (1, "")
    assert "SettingsError: max_crahes is no setting. Did you mean 'max_crashes'?" in ended.err


def test_the_home_folder_can_be_elsewhere_and_options_stand_anywhere(perdure: Run, tmp_path: Path) -> None:
    submit(perdure)
    other = str(tmp_path / "other")
    Ledger(f"sqlite:///{other}/ledger.db").upgrade()
    assert perdure("jobs", "list", "--json", "--home", other, app=None).json == []
    assert perdure("jobs", "list", "--json", "--home", other, "-A", "cli_shop:app", app=None).json == []
    assert perdure("--home", other, "jobs", "list", "--json", app=None).json == []


def test_the_console_script_itself(folder: Path) -> None:
    """The real command in a process of its own, and the application's module from the current folder."""
    command = [str(Path(sys.executable).with_name("perdure")), "submit", "shop.add", "-A", "cli_shop", "--args", "[1]"]
    environment = {**os.environ, "PERDURE_HOME": str(folder / ".perdure")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    app = Perdure(home=folder / ".perdure")
    assert app.jobs.get(done.stdout.strip()).state == "queued"
    app.close()


def test_a_worker_that_was_outvoted_is_trusted_again(perdure: Run, ledger: Ledger) -> None:
    row = {"id": "w", "name": "w3@a", "bulkhead": "normal", "host": "a", "pid": 1, "concurrency": 1}
    ledger.workers.register({**row, "lease_ttl": 60.0, "lock_path": None})
    ledger.workers.say("w3@a", Verdict.OUTVOTED, "in job 1")
    ledger.workers.declare_unfit("w", "its disk is read-only")
    listed = perdure("workers", "list").out
    assert "draining, unfit: its disk is read-only" in listed
    assert "outvoted 1 times" in listed
    assert perdure("workers", "trust", "w3@a", "--reason", "mended", "--json").json == {"name": "w3@a", "trusted": True}
    [worker] = perdure("workers", "list", "--json").json
    assert (worker["outvoted"], worker["barred"], worker["unfit"]) == (0, False, "its disk is read-only")
    refused = perdure("workers", "trust", "w4@a", "--reason", "mended")
    assert refused.code != 0
    assert "no worker 'w4@a'. Did you mean 'w3@a'?" in refused.err


def test_groups(perdure: Run, folder: Path) -> None:
    (folder / "cli_stock.py").write_text(
        "from perdure import Perdure\n"
        "app = Perdure()\n"
        "app.primary_backup('stock', {'eu': 1, 'us': 2}, run=lambda service, operation: 0)\n"
    )
    [listed] = perdure("groups", "list", "--json", app="cli_stock").json
    assert (listed["name"], listed["primary"], listed["epoch"], listed["applied"]) == ("stock", "eu", 1, {"eu": 0, "us": 0})
    promoted = perdure("groups", "promote", "stock", "us", "--reason", "eu\x1b[2J moves", "--json", app="cli_stock").json
    assert (promoted["primary"], promoted["before"], promoted["epoch"]) == ("us", "eu", 2)
    assert promoted["by"].startswith("cli:")
    assert "eu is the primary of stock" in perdure("groups", "promote", "stock", "--reason", "back", app="cli_stock").out
    shown = perdure("groups", "show", "stock", app="cli_stock").out
    assert "us -> eu" in shown
    assert "\x1b[2J" not in shown
    assert [each["epoch"] for each in perdure("groups", "show", "stock", "--json", app="cli_stock").json["promotions"]] == [
        3,
        2,
    ]
    assert "stock" in perdure("groups", "list", app="cli_stock").out

    refused = perdure("groups", "promote", "stok", "--reason", "x", app="cli_stock")
    assert (refused.code, refused.out) == (1, "")
    assert "Did you mean 'stock'?" in refused.err
    assert "has no member 'mars'" in perdure("groups", "promote", "stock", "mars", "--reason", "x", app="cli_stock").err
    assert perdure("groups", "promote", "stock", app="cli_stock").code == 2, "a promotion needs a reason"
    assert "The application defines none" in perdure("groups", "show", "stock").err


def test_a_breaker_of_a_misspelt_name_is_refused(perdure: Run, folder: Path) -> None:
    (folder / "cli_guarded.py").write_text(
        "from perdure import Perdure\n"
        "app = Perdure(resilience={'services': {'mail': {}}})\n"
        "@app.job(name='shop.pay', breaker='payments')\n"
        "def pay() -> None: ...\n"
    )
    for command in ("open", "close", "reset"):
        ended = perdure("breakers", command, "paymnets", app="cli_guarded")
        assert (ended.code, ended.out) == (1, "")
        assert "no circuit breaker 'paymnets'" in ended.err
        assert "Did you mean 'payments'?" in ended.err
        assert perdure("breakers", command, "payments", app="cli_guarded").code == 0
        assert perdure("breakers", command, "mail", app="cli_guarded").code == 0
    assert perdure("breakers", "open", "new", "--create", app="cli_guarded").out.strip() == "new is open"
    assert perdure("breakers", "reset", "new", app="cli_guarded").code == 0, "it is in use now"


def test_failover(perdure: Run, folder: Path) -> None:
    (folder / "cli_mail.py").write_text(
        "from perdure import Perdure\n"
        "from perdure.resilience import Member\n"
        "def ping(address: str) -> bool:\n"
        "    return address != 'eu.example'\n"
        "mail = {'members': {'eu': 'eu.example', 'us': 'us.example'}, 'check': 'cli_mail.ping', 'failure_threshold': 1}\n"
        "app = Perdure(resilience={'failover': {'mail': mail}})\n"
        "app.failover.add('stock', [Member('one', object()), Member('two', object())])\n"
    )
    found = perdure("failover", "list", "--json", app="cli_mail").json
    assert [(each["name"], each["current"], each["members"]) for each in found] == [
        ("mail", "eu", ["eu", "us"]),
        ("stock", "one", ["one", "two"]),
    ]
    assert perdure("failover", "check", "mail", "--json", app="cli_mail").json == {"eu": False, "us": True}
    assert "us" in perdure("failover", "list", app="cli_mail").out
    [record] = perdure("failover", "history", "mail", "--json", app="cli_mail").json
    assert (record["from_member"], record["to_member"]) == ("eu", "us")
    ended = perdure("failover", "promote", "stock", "two", "--reason", "maintenance", app="cli_mail")
    assert ended.out.strip() == "stock is served by two"
    [record] = perdure("failover", "history", "stock", "--json", app="cli_mail").json
    assert record["reason"] == "maintenance"
    for arguments, said in ((("promote", "stock", "tow"), "no member 'tow'"), (("check", "mial"), "Did you mean 'mail'")):
        ended = perdure("failover", *arguments, app="cli_mail")
        assert (ended.code, ended.out) == (1, "")
        assert said in ended.err


def test_times_that_are_not_understood(perdure: Run) -> None:
    assert perdure("dead", "list", "--where", "since=yesterday").code == 0
    ended = perdure("dead", "list", "--where", "since=lundi")
    assert (ended.code, "since='lundi' is no moment. Write 30s, 10m, 2h" in ended.err) == (1, True)


def test_a_job_of_the_script_that_runs_is_refused(folder: Path) -> None:
    script = folder / "script.py"
    script.write_text(
        "from perdure import Perdure\n"
        "app = Perdure()\n"
        "@app.job\n"
        "def lost(n: int) -> int: return n\n"
        "@app.job(name='shop.add')\n"
        "def found(a: int) -> int: return a\n"
        "assert lost(5) == 5\n"
        "print(found.submit(1).id)\n"
        "for submit in (lost.submit, lost.delay, lost.options(delay=1).submit):\n"
        "    submit(1)\n"
    )
    done = subprocess.run([sys.executable, script], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "InvalidJobDefinition: __main__.lost: its function is in the script that runs" in done.stderr
    assert [job.task for job in Perdure(home=folder / ".perdure").jobs.list()] == ["shop.add"]


@pytest.mark.parametrize("command", [["up", "--detach"], ["jobs", "list"], ["submit", "files.archive"], ["flower"]])
def test_a_folder_that_cannot_be_written_is_told_in_one_line(perdure: Run, tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "file").write_text("")  # also for root, whom permissions do not stop
    ended = perdure(*command, "--home", str(tmp_path / "file" / "home"), app=None)
    assert (ended.code, ended.out, len(ended.err.splitlines())) == (1, "", 1), ended.err
    assert str(tmp_path / "file") in ended.err


def test_an_id_may_be_told_by_its_beginning_or_end(perdure: Run, ledger: Ledger) -> None:
    jobs = [submit(perdure) for _ in range(3)]
    for job_id in jobs[:2]:
        settled(ledger, job_id, DIE)
    end, letters = jobs[0][-8:], [letter["id"] for letter in perdure("dead", "list", "--json").json]
    letter = letters[0][-8:]
    assert perdure("jobs", "show", end, "--json").json["id"] == jobs[0]
    assert perdure("jobs", "wait", end).code == 3
    assert perdure("why", end).code == 0
    assert [job["id"] for job in perdure("jobs", "list", "--after", jobs[2][-8:], "--json").json] == [jobs[1], jobs[0]]
    assert perdure("dead", "show", letter, "--json").json["id"] == letters[0]
    assert perdure("dead", "note", letter, "seen", "--json").json["id"] == letters[0]
    assert perdure("dead", "replay", letter, "--json").json[0]["dead_letter"] == letters[0]
    assert perdure("dead", "discard", letter, "--reason", "x", "--json").json[0]["id"] == letters[0]
    assert {entry["letter_id"] for entry in perdure("dead", "audit", "--letter", letter, "--json").json} == {letters[0]}
    assert [each["id"] for each in perdure("dead", "list", "--after", letter, "--json").json] == [letters[1]]
    assert perdure("jobs", "cancel", jobs[2][-8:]).code == 0
    several = perdure("dead", "replay", letters[1], "nothing-like-it")
    assert (several.code, several.out) == (1, "")
    assert perdure("dead", "show", letters[1], "--json").json["status"] == "open", "nothing was done by half"
    assert perdure("jobs", "show", jobs[0][:3]).code == 1, "several begin like that"
