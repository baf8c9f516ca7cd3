"""The file that is loaded, and the file that says which of its rows were not."""

import sys
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import orjson

from node.errors import Kind, RegistryError
from node.registry.chunks import Chunk, RowError, cut_lines
from node.registry.spreadsheet import BadHead, cut_spreadsheet

STANDARD_INPUT = "-"


class LoadFormat(StrEnum):
    """How a load file is written."""

    NDJSON = "ndjson"
    CSV = "csv"


class LoadInput:
    """A file to load, or standard input (`-`), open while the block runs.

    The format follows the name (`.csv`) when it is not given.  Raises RegistryError.
    """

    def __init__(self, path: str, form: LoadFormat | None = None) -> None:
        named = LoadFormat.CSV if path.lower().endswith(".csv") else LoadFormat.NDJSON
        self._path = path
        self._form = form or named
        self._stream: BinaryIO = sys.stdin.buffer
        self.size: int | None = None  # bytes; None: not known beforehand

    def __enter__(self) -> "LoadInput":
        if self._path != STANDARD_INPUT:
            try:
                self._stream = Path(self._path).open("rb")
                regular = Path(self._path).is_file()
                self.size = Path(self._path).stat().st_size if regular else None
            except OSError as error:
                raise _unreadable(self._path, error) from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._path != STANDARD_INPUT:
            self._stream.close()

    def chunks(self) -> Iterator[Chunk]:
        """Cut the file into chunks.  Raises RegistryError."""
        cut = cut_spreadsheet if self._form is LoadFormat.CSV else cut_lines
        try:
            yield from cut(self._stream)
        except BadHead as error:
            raise RegistryError(Kind.INVALID, f"{self._path}: {error}.") from error
        except OSError as error:
            raise _unreadable(self._path, error) from error


class ResultFile:
    """Refused rows as NDJSON (`row`, `handle`, `reason`); made when the first one comes.

    An older file of that name is replaced, or removed when nothing is refused.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stream: BinaryIO | None = None

    def __enter__(self) -> "ResultFile":
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._stream is not None:
            self._stream.close()

    def write(self, errors: Sequence[RowError]) -> None:
        """Add refused rows.  Raises RegistryError."""
        if self._path is None or not errors:
            return
        try:
            if self._stream is None:
                self._stream = self._path.open("wb")
            for error in errors:
                line = orjson.dumps(error._asdict(), option=orjson.OPT_APPEND_NEWLINE)
                self._stream.write(line)
        except OSError as error:
            raise RegistryError(
                Kind.FORBIDDEN, f"Cannot write the result file {self._path}: {error.strerror}."
            ) from error


def _unreadable(path: str, error: OSError) -> RegistryError:
    kind = Kind.NOT_FOUND if isinstance(error, FileNotFoundError) else Kind.FORBIDDEN
    return RegistryError(kind, f"Cannot read {path}: {error.strerror}.")
