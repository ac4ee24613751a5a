"""``perdure dead``: bulk replay, discard, note, purge, export, import and audit from the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import pytest
from msgspec.structs import replace

from perdure import Perdure, Secret
from perdure.manage.masked import masked_letter
from perdure.model.job_log import Chunk, LogBounds, Said
from perdure.stores.encryption.cipher import KeyRing
from support.cli import Ended, invoke
from support.inline import run
from support.ledgers import DIE, claimed
from support.shop import define

Die = Callable[..., str]


@pytest.fixture
def dead(shop: Perdure) -> Callable[..., Ended]:
    """Run ``perdure dead`` on the shop, with what is typed at its question."""

    def run_command(*arguments: str, typed: str | None = None) -> Ended:
        done = invoke(shop, "dead", *arguments, typed=typed)
        message = f"{type(done.exception).__name__}: {done.exception}" if done.exception else ""
        return Ended(done.exit_code, done.stdout, done.stderr + message)

    return run_command


Dead = Callable[..., Ended]


def test_find_by_where(shop: Perdure, die: Die, dead: Dead) -> None:
    letter_id = die()
    task = shop.dead_letters.get(letter_id).task
    assert [letter["id"] for letter in dead("list", "--where", f"task={task}", "--where", "since=1h", "--json").json] == [
        letter_id
    ]
    assert dead("list", "--where", "until=1h", "--json").json == []
    assert "Allowed: task, bulkhead" in dead("list", "--where", "colour=red").err
    assert "must be NAME=VALUE" in dead("list", "--where", "red").err


def test_show_masks_secrets_unless_asked(shop: Perdure, die: Die, dead: Dead) -> None:
    @shop.job(name="shop.pay")
    def pay(card: Annotated[str, Secret]) -> None: ...

    letter_id = die("shop.pay", "4111")
    assert dead("show", letter_id, "--json").json["args"] == ["***"]
    assert "4111" not in dead("show", letter_id).out + dead("list", "--json").out
    assert "4111" not in dead("note", letter_id, "seen", "--json").out
    assert dead("show", letter_id, "--secrets", "--json").json["args"] == ["4111"]


def test_letters_that_cannot_be_opened_are_shown_and_refused(shop: Perdure, migrated_url: str, dead: Dead) -> None:
    sealing = Perdure(ledger_url=migrated_url, encryption_keys=KeyRing.generate("k1"))
    define(sealing)
    job = sealing.task("shop.charge").submit("o-4711", 5)
    letter_id = sealing.ledger.jobs.settle(claimed(sealing.ledger, job.id), DIE)
    assert letter_id is not None
    assert sealing.dead_letters.get(letter_id).args == ["o-4711", 5]
    sealing.close()

    shown = dead("show", letter_id, "--json").json
    assert shown["args"] == []
    assert "MissingKey" in shown["unopened"]["args"]
    assert "MissingKey" in dead("show", letter_id).out
    assert [letter["id"] for letter in dead("list", "--json").json] == [letter_id]
    refused = dead("replay", letter_id)
    assert f"dead letter {letter_id} cannot be replayed" in refused.err
    plan = dead("replay", "--all", "--dry-run", "--json").json
    assert (plan["count"], plan["does_not_fit"]) == (1, 1)
    started = dead("replay", "--all", "--yes", "--json").json["job"]
    assert run(shop, shop.jobs.get(started)) == "succeeded"
    assert shop.jobs.get(started).result().skipped == {"does_not_fit": 1}
    assert shop.dead_letters.get(letter_id).status == "open"


def test_arguments_are_masked_when_something_else_cannot_be_opened(shop: Perdure, die: Die) -> None:
    letter = shop.dead_letters.get(die())
    unopened = replace(letter, kwargs={"api_key": "4711"}, unopened={"traceback": "MissingKey"})
    assert masked_letter(shop.tasks.get(letter.task), unopened).kwargs == {"api_key": "***"}


def test_replay_of_all_that_match(shop: Perdure, die: Die, dead: Dead) -> None:
    letters = [die() for _ in range(3)]
    assert dead("replay", "--all", "--dry-run", "--json").json["count"] == 3
    assert "3 letters would be replayed" in dead("replay", "--all", "--dry-run").out
    refused = dead("replay", "--all")
    assert (refused.code, "Replay 3 dead letters? Nobody is there to answer: say --yes." in refused.err) == (2, True)

    started = dead("replay", "--all", "--yes", "--rate", "50/s", "--canary", "0", "--json").json
    assert started["letters"] == 3
    assert run(shop, shop.jobs.get(started["job"])) == "succeeded"
    assert {shop.dead_letters.get(letter_id).status for letter_id in letters} == {"replayed"}


def test_replay_says_what_does_not_go_together(die: Die, dead: Dead) -> None:
    letter_id = die()
    for wrong, why in (
        (["replay"], "name LETTER_IDS"),
        (["replay", letter_id, "--all"], "name LETTER_IDS"),
        (["replay", letter_id, "--rate", "5/s"], "--rate goes with --where or --all"),
        (["replay", "--all", "--args", "[1]"], "for a letter that is named"),
        (["replay", letter_id, letter_id, "--args", "[1]"], "go with one letter"),
        (["note", letter_id], "give the TEXT"),
        (["purge"], "say which letters"),
        (["discard", "--reason", "x"], "name LETTER_IDS"),
    ):
        ended = dead(*wrong)
        assert (ended.code, why in ended.err) == (2, True), ended
    assert "rate" in dead("replay", "--all", "--yes", "--rate", "fast").err


def test_discard_and_purge_ask_with_the_count(shop: Perdure, die: Die, dead: Dead) -> None:
    letters = [die() for _ in range(3)]
    assert dead("discard", letters[0], "--reason", "known", "--json").json[0]["status"] == "discarded"
    assert dead("discard", "--where", "status=open", "--reason", "known", "--yes", "--json").json == {"discarded": 2}
    assert "Delete 3 dead letters for good?" in dead("purge", "--all").err
    assert shop.dead_letters.count() == 3
    assert dead("purge", "--all", "--yes", "--json").json == {"deleted": 3}
    assert shop.dead_letters.count() == 0
    assert [entry["action"] for entry in dead("audit", "--limit", "1", "--json").json] == ["purge"]


def test_open_letters_are_purged_only_when_named(shop: Perdure, die: Die, dead: Dead) -> None:
    die()
    assert dead("purge", "--all", "--yes", "--json").json == {"deleted": 0}
    assert dead("purge", "--where", "status=open", "--yes", "--json").json == {"deleted": 1}


def test_notes(shop: Perdure, die: Die, dead: Dead) -> None:
    letter_id = die()
    fingerprint = shop.dead_letters.get(letter_id).fingerprint
    dead("note", letter_id, "looked at it")
    dead("note", "--group", fingerprint, "known, fixed in 1.4")
    assert dead("show", letter_id, "--json").json["note"] == "looked at it"
    assert "known, fixed in 1.4" in dead("groups").out
    dead("note", letter_id, "--remove")
    assert dead("show", letter_id, "--json").json["note"] is None


def test_export_and_import(shop: Perdure, die: Die, dead: Dead, tmp_path: Path) -> None:
    letters, file = [die() for _ in range(2)], tmp_path / "letters.jsonl"
    assert "2 exported" in dead("export", "-o", str(file)).err
    assert dead("import", str(file), "--json").json == {"imported": 0, "known": 2}
    assert dead("purge", "--where", "status=open", "--yes").code == 0
    assert dead("import", str(file), "--json").json == {"imported": 2, "known": 0}
    assert sorted(letter["id"] for letter in dead("list", "--json").json) == sorted(letters)
    file.write_text("no letter\n")
    assert "line 1 is no exported dead letter" in dead("import", str(file)).err


def test_reopen_by_name(die: Die, dead: Dead) -> None:
    mine, other, untouched = die(), die(), die()
    dead("discard", mine, other, "--reason", "by mistake")
    refused = dead("reopen", mine, untouched)
    assert f"dead letter {untouched} is open; only a discarded one can be reopened" in refused.err
    assert [letter["status"] for letter in dead("reopen", mine[-12:], "--json").json] == ["open"]
    assert [letter["id"] for letter in dead("list", "--status", "discarded", "--json").json] == [other]
    assert [entry["action"] for entry in dead("audit", "--letter", mine, "--json").json] == ["reopen", "discard"]


def test_reopen_of_all_that_match_counts_and_asks(die: Die, dead: Dead) -> None:
    letters = [die(error="one fault") for _ in range(3)]
    dead("discard", *letters, "--reason", "by mistake")
    dead("discard", die(error_type="KeyError"), "--reason", "on purpose")
    open_one = die()
    assert "name LETTER_IDS" in dead("reopen").err
    assert "name LETTER_IDS" in dead("reopen", letters[0], "--all").err
    assert "Reopen 3 dead letters?" in dead("reopen", "--where", "error=ValueError").err  # nobody answers
    assert dead("reopen", "--where", "error=ValueError", "--yes", "--json").json == {"reopened": 3}
    assert {letter["id"] for letter in dead("list", "--status", "open", "--json").json} == {*letters, open_one}
    assert dead("reopen", "--all", "--yes", "--json").json == {"reopened": 1}
    assert dead("list", "--status", "discarded", "--json").json == []


def test_show_tells_the_last_that_the_job_said(shop: Perdure, die: Die, dead: Dead) -> None:
    letter = shop.dead_letters.get(die())
    lines = tuple(Said(0.0, "INFO", f"line {number}\nand more") for number in range(1, 31))
    shop.ledger.jobs.write_logs([Chunk(str(letter.job_id), letter.task, 1, 1, 1, lines, LogBounds())])
    shown = dead("show", letter.id).out
    assert "1970-01-01 00:00:00 #1 INFO    line 30\n  | and more" in shown
    assert "line 10\n" not in shown
    assert [line["number"] for line in dead("show", letter.id, "--json").json["log"]] == list(range(11, 31))


def test_errors_go_by_the_names_that_people_know(shop: Perdure, dead: Dead, die: Die) -> None:
    letter = die(error_type="perdure.control.Discard")  # the ledger keeps the name that it has known first
    for command in (["list"], ["groups"], ["show", letter]):
        shown = dead(*command).out
        assert "Discard" in shown, command
        assert "perdure.control" not in shown, command
    found = dead("list", "--where", "error=Discard", "--json").json
    assert [(each["id"], each["error_type"]) for each in found] == [(letter, "perdure.control.Discard")]
