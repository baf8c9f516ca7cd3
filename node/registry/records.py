"""Loading records: a file of any size becomes rows, in short transactions, as often as one likes.

The file is cut into chunks, which worker processes read and encode while Postgres writes earlier
ones.  Chunks are written in the order of the file, each in one transaction with its changes, whose
serials are taken last.  Law: loading the same file again changes nothing, adds no versions and announces nothing; a
line that differs changes its record, and of that only the timestamps of the values that differ.  A
load that is cut short is completed by running it again.
"""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from node.errors import Kind, RegistryError
from node.registry.batches import Batch, LoadRules, NoSealingKey
from node.registry.chunks import RowError
from node.registry.loadfile import LoadFormat, LoadInput, ResultFile
from node.registry.loading import BatchWriter
from node.registry.processes import EncodedBatches, encoders
from node.store.database import Database, StoreError, StoreUnavailable, connect
from node.store.load import Author
from node.store.prefixes import read_prefixes

SMALL_FILE_BYTES = 4 << 20  # below this, starting processes costs more than it saves
FIRST_ERRORS = 20
UNKNOWN_PREFIXES = 10_000  # more different ones are counted without their names

OPERATOR = (
    "operator"  # who loads: nobody's key, but whoever can reach the database and the data directory
)

_OTHERS = b"others"


class LoadProgress(NamedTuple):
    """How far a load is: rows read, rows refused, bytes read, and of how many (None: unknown)."""

    read: int
    errors: int
    end: int
    total: int | None


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What a load did.

    Of `read` rows, `written` records are new or other than before, `unchanged` ones are not, and
    `errors` were refused (the first few are here, all are in the result file).  `prefixes` were
    homed or delegated that were not so before.  `unknown_prefixes` names, with their counts, the
    prefixes of records that were loaded though this node does not serve them.
    """

    read: int
    written: int
    unchanged: int
    prefixes: int
    errors: int
    first_errors: tuple[RowError, ...]
    unknown_prefixes: tuple[tuple[str, int], ...]
    seconds: float

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.read / self.seconds if self.seconds else 0.0


async def load_file(
    database_url: str,
    path: str,
    *,
    sealing_key: Path,
    form: LoadFormat | None = None,
    delegated: bool = False,
    case_sensitive: bool = False,
    reason: str = "",
    progress: Callable[[LoadProgress], None] | None = None,
    result_path: Path | None = None,
) -> LoadReport:
    """Load a file (`-`: standard input) into a migrated database and say what it did.

    `sealing_key` is the file of the key for secrets; `form` is taken from the file's name when left out; `delegated`
    is what `0.NA/` lines mean that do not say; `reason` goes into the versions; refused rows go to `result_path`.
    Raises RegistryError: no such file, no CSV head, no schema, no Postgres, no sealing key.
    """
    rules = LoadRules(
        int(time.time()),
        sealing_key,
        delegated=delegated,
        case_sensitive=case_sensitive,
        tells=False,
    )
    author = Author(OPERATOR, OPERATOR, f"load {path}", reason)
    with LoadInput(path, form) as source, ResultFile(result_path) as results:
        small = source.size is not None and source.size < SMALL_FILE_BYTES
        with encoders(small=small) as executor:
            loading = _Loading(source, results, rules, executor, author)
            try:
                return await loading.run(database_url, progress or (lambda _: None))
            except StoreUnavailable as error:
                raise RegistryError(
                    Kind.UNAVAILABLE,
                    f"{error}. {loading.read} rows are done; run the same load again.",
                ) from error
            except StoreError as error:
                raise RegistryError(
                    Kind.MISCONFIGURED, f"{error}. Run `idnode migrate`, then load again."
                ) from error
            except NoSealingKey as error:
                raise RegistryError(
                    Kind.MISCONFIGURED, f"The file holds secrets, and {error}."
                ) from error
            except BrokenProcessPool as error:
                raise RegistryError(
                    Kind.UNAVAILABLE, "An encoding process was killed; run the same load again."
                ) from error


class _Loading:
    """One load under way."""

    def __init__(
        self,
        source: LoadInput,
        results: ResultFile,
        rules: LoadRules,
        executor: Executor,
        author: Author,
    ) -> None:
        self._source = source
        self._results = results
        self._rules = rules
        self._executor = executor
        self._author = author
        self._known: set[bytes] = set()
        self._unknown: Counter[tuple[bytes, ...]] = Counter()
        self._first_errors: list[RowError] = []
        self.read = self._records = self._written = self._prefixes = self._errors = 0

    async def run(self, database_url: str, progress: Callable[[LoadProgress], None]) -> LoadReport:
        started = time.monotonic()
        async with Database(database_url, max_connections=1) as database:
            self._known = {row.prefix for row in await read_prefixes(database)}
        connection = await connect(database_url)
        writer = BatchWriter(connection, self._executor, self._author, self._rules.now)
        batches = EncodedBatches(self._source.chunks(), self._executor, self._rules)
        try:
            await writer.prepare()
            while (found := await batches.take()) is not None:
                end, batch = found
                effect = await writer.write(batch)
                self._written += len(effect.created) + len(effect.changed)
                self._prefixes += len(effect.prefixes)
                self._note(batch)
                progress(LoadProgress(self.read, self._errors, end, self._source.size))
        finally:
            batches.close()
            connection.terminate()
        return self._report(time.monotonic() - started)

    def _note(self, batch: Batch) -> None:
        self.read += batch.read
        self._records += len(batch.records)
        self._errors += len(batch.errors)
        self._results.write(batch.errors)
        self._first_errors += batch.errors[: FIRST_ERRORS - len(self._first_errors)]
        self._known.update(batch.prefixes)
        for prefixes, count in batch.under.items():
            if self._known.isdisjoint(prefixes):
                full = len(self._unknown) >= UNKNOWN_PREFIXES and prefixes not in self._unknown
                self._unknown[(_OTHERS,) if full else prefixes] += count

    def _report(self, seconds: float) -> LoadReport:
        unknown: Counter[str] = Counter()
        for prefixes, count in self._unknown.items():
            if self._known.isdisjoint(prefixes):
                unknown[prefixes[0].decode()] += count
        return LoadReport(
            read=self.read,
            written=self._written,
            unchanged=self._records - self._written,
            prefixes=self._prefixes,
            errors=self._errors,
            first_errors=tuple(self._first_errors),
            unknown_prefixes=tuple(unknown.most_common()),
            seconds=seconds,
        )
