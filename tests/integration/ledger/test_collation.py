"""The ledger on PostgreSQL databases that sort text by a language's rules: no page leaves anything out or repeats it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import text

from perdure.ledger import Ledger
from perdure.ledger.jobs import lanes, lookup
from perdure.ledger.running.checkpoint_store import LedgerStore
from perdure.model.dead_letter import LetterFilter
from perdure.model.ids import new_id
from perdure.model.lanes import PLAIN, REPLICAS, lane_of
from perdure.model.states import JobState
from perdure_workers.embedded.postgres import PostgresServer
from support.ledgers import DIE, SUCCEED, claimed, claimer, delete_all_rows, job

pytestmark = pytest.mark.postgresql

#: Names in another order by their characters than by any language's rules.
NAMES = ("a-b", "ab", "Ab", "a_c", "a b", "A-B", "ä", "z", "Z", "-", "a.b", "10", "9", "a:b", "~", "aB", "ch", "cz", "d")
KEYS = NAMES[::3]
#: In Czech "ch" is a letter, after "h".
LOCALES = ("C", "en_US", "cs_CZ")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL that knows these locales."""
    folder = Path(tempfile.mkdtemp(prefix="perdure-tests-"))
    folder.chmod(0o711)
    for locale in LOCALES[1:]:
        compiled = ["localedef", "-i", locale, "-f", "UTF-8", str(folder / f"{locale}.UTF-8")]
        try:
            subprocess.run(compiled, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            shutil.rmtree(folder)
            pytest.skip(f"this machine cannot make the locale {locale} (Debian: package locales): {error}")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("LOCPATH", str(folder))
        with PostgresServer(folder / "postgres", die_with_parent=True, fast_unsafe_for_tests=True) as started:
            yield started
    shutil.rmtree(folder)


@pytest.fixture(scope="module", params=LOCALES)
def migrated(request: pytest.FixtureRequest, server: PostgresServer) -> Iterator[Ledger]:
    """A ledger in a database that sorts as a locale does."""
    name, locale = f"sorted_{request.param}".lower(), "C" if request.param == "C" else f"{request.param}.UTF-8"
    with psycopg.connect(server.url.replace("+psycopg", ""), autocommit=True) as connection:
        create = sql.SQL("CREATE DATABASE {} TEMPLATE template0 LOCALE {}")
        connection.execute(create.format(sql.Identifier(name), sql.Literal(locale)))
    ledger = Ledger(server.database_url(name))
    ledger.upgrade()
    yield ledger
    ledger.close()


@pytest.fixture
def sorted_ledger(migrated: Ledger) -> Ledger:
    """The ledger without rows."""
    with migrated.transaction() as connection:
        delete_all_rows(connection)
    return migrated


def test_a_database_that_sorts_by_a_language_is_one(sorted_ledger: Ledger, request: pytest.FixtureRequest) -> None:
    with sorted_ledger.transaction() as connection:
        by_letters = connection.execute(text("SELECT 'a' < 'B'")).scalar_one()
    assert by_letters == ("C]" not in request.node.name)


def test_lanes_are_named_once_each_whatever_their_order(sorted_ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "LANES", 3)
    sorted_ledger.jobs.submit([job(task=name, breaker=name) for name in NAMES])
    sorted_ledger.jobs.submit([job(task=name, limit_key=key) for name in NAMES for key in KEYS])
    sorted_ledger.jobs.submit([job(), job(replica_of=new_id())])
    found: list[str] = []
    while page := sorted_ledger.jobs.lanes("normal", found[-1] if found else ""):
        found += [lane.name for lane in page]
    guarded = [lane_of(name, limit_key=None, breaker=name) for name in NAMES]
    limited = [lane_of(name, limit_key=key, breaker=None) for name in NAMES for key in KEYS]
    assert found[0] == PLAIN
    assert sorted(found) == sorted([PLAIN, REPLICAS, *guarded, *limited])
    assert sorted_ledger.jobs.depth("normal", 1_000) == len(found)
    claims = [claim for lane in found for claim in sorted_ledger.jobs.claim(claimer(sorted_ledger), 99, lane)]
    assert len(claims) == len(found)


def test_pages_of_jobs_and_dead_letters_leave_nothing_out(sorted_ledger: Ledger) -> None:
    ids = [sorted_ledger.jobs.submit([job(n, tags={"t": name})])[0].id for n, name in enumerate(NAMES)]
    for state, how in ((JobState.SUCCEEDED, SUCCEED), (JobState.DEAD, DIE)):
        for job_id in ids[:: 2 if how is SUCCEED else 1]:
            if sorted_ledger.jobs.get(job_id).state is JobState.QUEUED:
                sorted_ledger.jobs.settle(claimed(sorted_ledger, job_id), how)
        assert sorted_ledger.jobs.listing(state=state, limit=99)
    listed: list[str] = []
    while page := sorted_ledger.jobs.listing(limit=3, after=listed[-1] if listed else None):
        listed += [each.id for each in page]
    assert listed == ids[::-1]
    dead: list[str] = []
    while letters := sorted_ledger.letters.page(LetterFilter(), limit=3, after=dead[-1] if dead else None):
        dead += [each.id for each in letters]
    assert dead == sorted(dead, reverse=True)
    assert len(dead) == len(NAMES) // 2
    for name in NAMES:
        assert len(sorted_ledger.jobs.listing(tag=("t", name), limit=9)) == 1


def test_a_job_is_found_by_any_beginning_and_end_of_its_id(sorted_ledger: Ledger) -> None:
    job_id = sorted_ledger.jobs.submit([job()])[0].id
    for length in range(1, 37):
        for part in (job_id[:length], job_id[-length:]):
            assert sorted_ledger.read(partial(lookup.find_job_id, text=part)) == job_id


def test_a_scan_of_checkpoints_meets_each_once(sorted_ledger: Ledger) -> None:
    keys = [(of_job, name) for of_job in ("j-1", "J1", "j_1") for name in ("main", "Main", "ma-in", "m")]
    with sorted_ledger.transaction() as connection:
        for of_job, name in keys:
            values = {"job": of_job, "name": name}
            statement = "INSERT INTO perdure_checkpoints (job_id, name, fence, seq, data, saved_at)"
            connection.execute(text(f"{statement} VALUES (:job, :name, 1, 1, '', 0)"), values)
    store, found, after = LedgerStore(sorted_ledger), [], None
    while True:
        page = store.scan(after, 2)
        found += [(key.job_id, key.name) for key in page.keys]
        after = page.next
        if after is None:
            break
    assert sorted(found) == sorted(keys)
