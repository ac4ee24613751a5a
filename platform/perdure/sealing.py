"""Arguments, results, errors and checkpoints on their way into the ledger and out of it.

With encryption keys they are sealed; above a threshold they go to the blob store, sealed as they are. Without either
setting everything passes as it is, and nothing is imported for it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from perdure.errors import PerdureError
from perdure.model.blob_ref import BLOB, ELSEWHERE
from perdure.model.storage_errors import StoreUnavailable
from perdure.model.text.storable import MAX_ERROR, MAX_TRACEBACK, SEALED, storable
from perdure.system.later import later

if TYPE_CHECKING:
    from perdure.model import records
    from perdure.model.new_job import NewJob
    from perdure.model.records import AttemptRecord, Claim, DeadLetterRecord, JobRecord, Settlement
    from perdure.settings.settings import Settings
    from perdure.stores.blobs.blobs import BlobStore
    from perdure.stores.blobs.offload import Offloader
    from perdure.stores.encryption.cipher import Cipher
else:
    (records,) = later("perdure.model", "records")

logger = logging.getLogger("perdure.vault")


class Vault:
    """Seals and offloads values, and gives them back.

    Args:
        keys: The encryption keys as ``id:base64,...``, the sealing one first; None seals nothing.
        accept_plain: With keys, whether values are read that are not sealed.
        blobs: Path or fsspec URL of the blob store; None offloads nothing.
        threshold: Values of more bytes than this are offloaded.

    Raises:
        SettingsError: A key is malformed.
    """

    def __init__(
        self,
        keys: str | None = None,
        *,
        accept_plain: bool = False,
        blobs: str | None = None,
        threshold: int = 256 * 1024,
    ) -> None:
        self._accept_plain, self._blobs, self._threshold = accept_plain, blobs, threshold
        self._ring: Any = None
        if keys:
            from perdure.stores.encryption.cipher import KeyRing

            self._ring = KeyRing.parse(keys)
        self._made: dict[str, Any] = {}
        self._pid = os.getpid()

    @classmethod
    def of(cls, settings: Settings) -> Vault:
        """Return the vault of an application's settings."""
        return cls(
            settings.encryption_keys,
            accept_plain=settings.encryption_accept_plain,
            blobs=settings.blob_store,
            threshold=settings.offload_threshold,
        )

    @property
    def seals(self) -> bool:
        """Whether new values are sealed."""
        return self._ring is not None

    @property
    def is_active(self) -> bool:
        """Whether new values are changed at all."""
        return self.seals or self._blobs is not None

    @property
    def blobs(self) -> BlobStore | None:
        """Where large values go, if anywhere."""
        return None if self._blobs is None else self._offloader.blobs

    # -- values --------------------------------------------------------------------------------------------------------

    def put(self, text: str, column: str, job_id: str, task: str | None) -> str:
        """Return what to store for a text.

        Args:
            text: The text.
            column: What it is.
            job_id: Whose it is.
            task: That job's task, which the seal is bound to as well; None where a reader does not know it.
        """
        if not self.is_active:
            return text
        sealed = self._cipher.seal(text, _place(column, job_id, task)) if self.seals else text
        return sealed if self._blobs is None else _or_itself(lambda: self._offloader.text(sealed), sealed)

    def get(self, stored: str, column: str, job_id: str, task: str | None) -> str:
        """Return the text of what :meth:`put` returned.

        Raises:
            MissingKey: It is sealed with a key that this process does not have.
            Undecipherable: It was changed, or belongs elsewhere, or is not sealed where it must be.
            BlobNotFound, CorruptBlob, StoreUnavailable: It was offloaded and cannot be read.
        """
        if stored.startswith(BLOB):
            self._need_blobs(column, job_id)
            stored = self._offloader.resolve_text(stored)
        if not self.seals and not stored.startswith(SEALED):
            return stored
        return self._cipher.open(stored, _place(column, job_id, task))

    def put_bytes(self, data: bytes, column: str, job_id: str, task: str | None) -> bytes:
        """Return what to store for bytes; parameters as for :meth:`put`."""
        if not self.is_active:
            return data
        sealed = self._cipher.seal_bytes(data, _place(column, job_id, task)) if self.seals else data
        return sealed if self._blobs is None else _or_itself(lambda: self._offloader.data(sealed), sealed)

    def get_bytes(self, stored: bytes, column: str, job_id: str, task: str | None) -> bytes:
        """Return the bytes of what :meth:`put_bytes` returned; raises as :meth:`get` does."""
        if stored.startswith(BLOB.encode()):
            self._need_blobs(column, job_id)
            stored = self._offloader.resolve_data(stored)
        if not self.seals and not stored.startswith(SEALED.encode()):
            return stored
        return self._cipher.open_bytes(stored, _place(column, job_id, task))

    def call_of(self, claim: Claim) -> tuple[str, str]:
        """Return the arguments of a claimed job, positional and by keyword, as JSON texts; raises as :meth:`get` does."""
        args, kwargs = (self.get(getattr(claim, name), name, claim.job_id, claim.task) for name in ("args", "kwargs"))
        return args, kwargs

    # -- what the ledger takes and gives -------------------------------------------------------------------------------

    def new_job(self, job: NewJob) -> NewJob:
        """Return a job as it is to be written."""
        if not self.is_active:
            return job
        args, kwargs = (self.put(getattr(job, name), name, job.id, job.task) for name in ("args", "kwargs"))
        return replace(job, args=args, kwargs=kwargs)

    def settlement(self, job_id: str, task: str, ended: Settlement) -> Settlement:
        """Return a settlement as it is to be written. Error types stay readable: dead letters are found by them."""
        if not self.is_active:
            return ended
        texts = {"result": ended.result}
        if self.seals:  # without keys an error is short enough to stay
            texts["error"] = storable(ended.error, MAX_ERROR)
            texts["traceback"] = storable(ended.traceback, MAX_TRACEBACK)
        sealed = {
            name: self.put(text, name, job_id, _bound(name, task)) for name, text in texts.items() if text is not None
        }
        return replace(ended, **sealed)

    def job(self, record: JobRecord) -> JobRecord:
        """Return a job's record with all that can be opened; the rest is named in ``unopened``."""
        plain = self._plain({"result": record.result_json}, record.unopened, record.id)
        opened = self._open(record.unopened, record.id, record.task)
        return replace(record, **_with_unopened(record.unopened, opened, plain)) if opened or plain else record

    def attempt(self, record: AttemptRecord, job_id: str) -> AttemptRecord:
        """Return an attempt's record with what can be opened."""
        texts = {name: text for name in ("error", "traceback") if is_stored(text := getattr(record, name))}
        opened = self._open(texts, job_id, None)
        opened.pop("unopened", None)
        return replace(record, **opened) if opened else record

    def letter(self, record: DeadLetterRecord) -> DeadLetterRecord:
        """Return a dead letter's record with all that can be opened; the rest is named in ``unopened``."""
        job_id = record.job_id or ""
        # A message that was quarantined has no arguments.
        plain = self._plain(dict.fromkeys(("args", "kwargs"), job_id or None), record.unopened, job_id)
        opened = self._open(record.unopened, job_id, record.task)
        return replace(record, **_with_unopened(record.unopened, opened, plain)) if opened or plain else record

    def _plain(self, values: dict[str, str | None], stored: dict[str, str], job_id: str) -> dict[str, str]:
        """Return which of a record's columns are plain though such are not accepted, each with why."""
        if not self.seals:
            return {}
        found = {}
        for column in values.keys() - stored.keys():
            try:
                if values[column] is not None:
                    self._cipher.check_plain(_place(column, job_id, None))
            except PerdureError as error:
                found[column] = f"{type(error).__name__}: {error}"
        return found

    def _open(self, texts: dict[str, str], job_id: str, task: str | None) -> dict[str, Any]:
        """Return the fields of a record that these columns become."""
        fields: dict[str, Any] = {}
        failed: dict[str, str] = {}
        for column, text in texts.items():
            try:
                name, value = records.field_of(column, self.get(text, column, job_id, _bound(column, task)))
                fields[name] = value
            except PerdureError as error:
                failed[column] = f"{type(error).__name__}: {error}"
        return fields | {"unopened": failed} if texts else {}

    # -- made on first use, and anew after a fork: object stores' clients do not survive one ---------------------------

    @property
    def _cipher(self) -> Cipher:
        from perdure.stores.encryption.cipher import Cipher

        made: Cipher = self._once("cipher", lambda: Cipher(self._ring, accept_plain=self._accept_plain))
        return made

    @property
    def _offloader(self) -> Offloader:
        from perdure.stores.blobs.blobs import BlobStore
        from perdure.stores.blobs.offload import Offloader

        def make() -> Offloader:
            assert self._blobs is not None
            return Offloader(BlobStore(self._blobs), self._threshold)

        made: Offloader = self._once("offloader", make)
        return made

    def _once(self, what: str, make: Callable[[], Any]) -> Any:
        if self._pid != os.getpid():
            self._made, self._pid = {}, os.getpid()
        if what not in self._made:
            self._made[what] = make()
        return self._made[what]

    def _need_blobs(self, column: str, job_id: str) -> None:
        if self._blobs is None:
            raise StoreUnavailable(
                f"{column} of job {job_id} is in a blob store and this process has none. Set PERDURE_BLOB_STORE to the "
                "one that the submitter uses"
            )


def is_stored(text: str | None) -> bool:
    """Return whether a column holds a sealed value or a reference in place of its text."""
    return text is not None and text.startswith(ELSEWHERE)


def _place(column: str, job_id: str, task: str | None) -> Any:
    from perdure.stores.encryption.cipher import Place

    return Place(column, job_id, task)


def _bound(column: str, task: str | None) -> str | None:
    """Return the task that a column is bound to: none for errors, which attempts share, and attempts name no task."""
    return None if column in ("error", "traceback") else task


def _with_unopened(stored: dict[str, str], opened: dict[str, Any], plain: dict[str, str]) -> dict[str, Any]:
    """Return what a record becomes: the fields that were opened, and which could not be, or must not be believed."""
    return opened | {"unopened": opened.get("unopened", stored) | plain}


def _or_itself(offload: Callable[[], Any], value: Any) -> Any:
    """Keep a large value in the ledger when the blob store is away: a job that is done must not be run again for it."""
    try:
        return offload()
    except StoreUnavailable as error:
        logger.warning("a value of %d bytes stays in the ledger: %s", len(value), error)
        return value
