"""Jobs are found by the same filters everywhere: a text in their arguments or error, and moments as people type them."""

from __future__ import annotations

from typing import Annotated

import pytest

from perdure import Perdure, Secret
from perdure.errors import InvalidArguments
from perdure.manage import job_search


@pytest.fixture
def jobs(app: Perdure, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(job_search, "READ", 3)  # pages of a search, so that a few jobs are several

    @app.job(name="search.pay")
    def pay(order: str, card: Annotated[str, Secret]) -> None: ...

    return [pay.submit(f"order-{number}", "4111-2222").id for number in range(8)]


def test_a_text_in_arguments(app: Perdure, jobs: list[str]) -> None:
    assert [job.id for job in app.jobs.list(text="ORDER-5", task="search.pay")] == [jobs[5]]
    assert [job.id for job in app.jobs.list(text="order", limit=3)] == jobs[:4:-1]
    assert app.jobs.count(text="order-", state="queued") == {"queued": 8}
    assert app.jobs.count(by="task", text="order-7") == {"search.pay": 1}
    assert app.jobs.list(text="4111") == []  # what is masked is not found by guessing


def test_a_search_says_where_it_goes_on(app: Perdure, jobs: list[str]) -> None:
    found = app.jobs.search(text="order-1", within=4)
    assert (found.jobs, found.following) == ([], jobs[4])
    found = app.jobs.search(text="order-1", after=found.following, within=4)
    assert [job.id for job in found.jobs] == [jobs[1]]
    first = app.jobs.search(text="order", limit=5)
    rest = app.jobs.search(text="order", limit=5, after=first.following)
    assert [job.id for job in first.jobs + rest.jobs] == jobs[::-1]
    assert rest.following is None
    plain = app.jobs.search(limit=8)
    assert ([job.id for job in plain.jobs], plain.following) == (jobs[::-1], None)


@pytest.mark.parametrize(("filters", "count"), [({"since": "1h"}, 8), ({"until": "yesterday"}, 0), ({"text": ""}, 8)])
def test_moments_are_texts_as_well(app: Perdure, jobs: list[str], filters: dict[str, str], count: int) -> None:
    assert len(app.jobs.list(**filters)) == count  # type: ignore[arg-type]


def test_what_is_misspelt_is_refused(app: Perdure) -> None:
    with pytest.raises(InvalidArguments, match="Did you mean 'text'"):
        app.jobs.list(txt="x")  # type: ignore[call-arg]
    with pytest.raises(InvalidArguments, match="is no moment"):
        app.jobs.count(since="whenever")
