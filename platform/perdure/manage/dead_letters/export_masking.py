"""What an export tells of a letter: as much as people are shown, so that its file may be passed on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from perdure.errors import InvalidArguments, PerdureError
from perdure.model.exported_letter import Exported, ExportedLetter
from perdure.model.masking import Masker, mask_call_json, masker
from perdure.sealing import is_stored

if TYPE_CHECKING:
    from perdure.model.task_spec import TaskSpec
    from perdure.sealing import Vault


def without_secrets(line: Exported, tasks: Mapping[str, TaskSpec], vault: Vault) -> Exported:
    """Return an exported letter without the secrets of its call, by name and by value.

    What is sealed or offloaded is exported as it is: it tells nothing to who has no key or no blob store. So are
    checkpoints and quarantined messages, whose bytes are nobody's arguments.

    Raises:
        InvalidArguments: The letter's task is not known here, and so not which of its arguments are secrets.
    """
    letter = line.letter
    task = tasks.get(letter.task)
    args, kwargs = letter.args or "[]", letter.kwargs or "{}"
    shown_args, shown_kwargs = mask_call_json(
        task, "[]" if is_stored(args) else args, "{}" if is_stored(kwargs) else kwargs
    )
    if task is None and letter.job_id and (shown_args, shown_kwargs) != (args, kwargs):
        raise InvalidArguments(
            f"dead letter {letter.id}: the task {letter.task!r} is not known here, and so not which of its arguments are "
            "secrets. Name its application (-A MODULE:ATTRIBUTE), or export with secrets (--secrets)"
        )
    mask = _masker_of(letter, task, vault)
    return msgspec.structs.replace(
        line,
        letter=msgspec.structs.replace(
            letter,
            args=letter.args if is_stored(args) else letter.args and shown_args,
            kwargs=letter.kwargs if is_stored(kwargs) else letter.kwargs and shown_kwargs,
            error=_shown(letter.error, mask),
            traceback=_shown(letter.traceback, mask),
            tags=letter.tags and mask.json(letter.tags),
            note=mask.optional(letter.note),
        ),
        attempts=[
            msgspec.structs.replace(one, error=_shown(one.error, mask), traceback=_shown(one.traceback, mask))
            for one in line.attempts
        ],
        log=[msgspec.structs.replace(one, data=_shown(one.data, mask)) for one in line.log],
    )


def _masker_of(letter: ExportedLetter, task: TaskSpec | None, vault: Vault) -> Masker:
    job_id, args, kwargs = letter.job_id or "", letter.args or "[]", letter.kwargs or "{}"
    try:
        args = vault.get(args, "args", job_id, letter.task) if is_stored(args) else args
        kwargs = vault.get(kwargs, "kwargs", job_id, letter.task) if is_stored(kwargs) else kwargs
    except PerdureError:  # no key here: then its error is sealed as well
        return masker(task, "[]", "{}")
    return masker(task, args, kwargs)


def _shown(text: str | None, mask: Masker) -> str | None:
    return text if is_stored(text) else mask.optional(text)
