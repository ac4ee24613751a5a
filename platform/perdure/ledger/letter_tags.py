"""Tags of dead letters, so that letters are found by the tags of their jobs."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection

from perdure.ledger.conditions import insert_ignoring
from perdure.ledger.schema import dead_letter_tags


def write(connection: Connection, letter_id: str, tags: str | None) -> None:
    """Write a letter's tags, given as the job has them: the text of a JSON object, or None."""
    pairs: dict[str, str] = msgspec.json.decode(tags) if tags else {}
    if pairs:
        rows = [{"letter_id": letter_id, "tag": tag, "value": value} for tag, value in pairs.items()]
        connection.execute(insert_ignoring(dead_letter_tags, connection.dialect.name), rows)
