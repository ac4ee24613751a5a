"""What jobs have said, kept with them: a few lines a row, as they were written, and the newest of each job only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from perdure.ledger import direct
from perdure.ledger.batch import encoded, rows_of
from perdure.ledger.dialects import DIALECTS, HOT
from perdure.model.clock import to_datetime
from perdure.model.job_log import Chunk, LogLine, Said
from perdure.model.text.storable import storable

if TYPE_CHECKING:
    from perdure.ledger.direct import Where

_COLUMNS = {
    "of_job": "text",
    "of_fence": "int",
    "of_attempt": "int",
    "first_line": "int",
    "line_count": "int",
    "byte_count": "int",
    "said": "text",
}


def _insert(dialect: str) -> str:
    # A job that was pruned meanwhile leaves nothing behind.
    return f"""
    INSERT INTO perdure_job_logs (job_id, fence, first, attempt, lines, bytes, data)
    SELECT of_job, of_fence, first_line, of_attempt, line_count, byte_count, said FROM {rows_of(dialect, _COLUMNS)}
    WHERE EXISTS (SELECT 1 FROM {HOT[dialect]} WHERE id = of_job)
    ON CONFLICT DO NOTHING
    """


def _let_go(dialect: str) -> str:
    """Return the statement that deletes the rows behind which there are as many newer lines as are kept."""
    return f"""
    DELETE FROM perdure_job_logs WHERE (job_id, fence, first) IN (
        SELECT job_id, fence, first FROM (
            SELECT l.job_id, l.fence, l.first, most_lines, most_bytes,
                sum(l.lines) OVER newest_first - l.lines AS newer_lines,
                sum(l.bytes) OVER newest_first - l.bytes AS newer_bytes
            FROM {rows_of(dialect, _BOUNDS)} JOIN perdure_job_logs AS l ON l.job_id = of_job
            WINDOW newest_first AS (PARTITION BY l.job_id ORDER BY l.fence DESC, l.first DESC)
        ) AS counted
        WHERE newer_lines >= most_lines OR newer_bytes >= most_bytes
    )
    """


_BOUNDS = {"of_job": "text", "most_lines": "int", "most_bytes": "int"}
_INSERT = {dialect: _insert(dialect) for dialect in DIALECTS}
_LET_GO = {dialect: _let_go(dialect) for dialect in DIALECTS}
_OF_JOB = """
    SELECT fence, attempt, first, data FROM perdure_job_logs WHERE job_id = :of_job AND fence >= :of_fence
    ORDER BY fence, first
"""

#: Seals and opens a chunk's text: (text, job, task) -> text.
Sealing = Callable[[str, str, str], str]


def write(connection: Where, chunks: Sequence[Chunk], seal: Sealing) -> None:
    """Write what jobs have said, and let go of their oldest lines that are too many. Safe to repeat."""
    rows = [_row(chunk, seal) for chunk in chunks]
    direct.run(connection, _INSERT[connection.dialect.name], encoded(rows))
    others = [_bounds(chunk) for chunk in chunks if chunk.fence > 1 or chunk.first > 1]  # else these are all of its lines
    if others:
        direct.run(connection, _LET_GO[connection.dialect.name], encoded(others))


def of_job(connection: Where, job_id: str, task: str, unseal: Sealing, after: tuple[int, int] = (0, 0)) -> list[LogLine]:
    """Return a job's kept lines, the first one first.

    Args:
        connection: Where to read.
        job_id: The job.
        task: Its task.
        unseal: Opens what is stored.
        after: Fence and number of a line: only those after it.
    """
    lines: list[LogLine] = []
    for fence, attempt, first, data in direct.rows(connection, _OF_JOB, {"of_job": job_id, "of_fence": after[0]}):
        said = msgspec.json.decode(unseal(data, job_id, task), type=list[tuple[float, str, str]])
        for number, (at, level, line) in enumerate(said, first):
            if (fence, number) > after:
                moment = to_datetime(at)
                assert moment is not None
                lines.append(LogLine(fence, attempt, number, moment, level, line))
    return lines


def _row(chunk: Chunk, seal: Sealing) -> dict[str, Any]:
    return {
        "of_job": chunk.job_id,
        "of_fence": chunk.fence,
        "of_attempt": chunk.attempt,
        "first_line": chunk.first,
        "line_count": len(chunk.lines),
        "byte_count": chunk.bytes,
        "said": seal(msgspec.json.encode([_plain(line) for line in chunk.lines]).decode(), chunk.job_id, chunk.task),
    }


def _plain(line: Said) -> tuple[float, str, str]:
    return round(line.at, 3), line.level, storable(line.text, len(line.text) * 6) or ""


def _bounds(chunk: Chunk) -> dict[str, Any]:
    return {"of_job": chunk.job_id, "most_lines": chunk.bounds.lines, "most_bytes": chunk.bounds.bytes}
