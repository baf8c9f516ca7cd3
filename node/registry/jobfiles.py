"""The files of jobs, below the data directory: what was handed in, and what became of each row.

Both may hold what is not public, so only the node's own account can read them.  An upload goes when its job is over.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

JOBS_DIRECTORY = "jobs"
MAX_UPLOAD_BYTES = 8 << 30
RESERVE_BYTES = 1 << 30  # of the disk that uploads leave free
BLOCK_BYTES = 1 << 16

_UPLOAD, _DRAFT, _RESULTS = ".upload", ".draft", ".results.ndjson"
_FILE_MODE, _DIRECTORY_MODE = 0o600, 0o700


class FilesFailed(Exception):
    """A file of a job cannot be written or read: the disk is full, or somebody took the file away."""


class UploadTooLarge(Exception):
    """More was handed in than a job takes."""


class JobFiles:
    """The directory of jobs of one node."""

    def __init__(self, data_dir: Path) -> None:
        self._directory = data_dir / JOBS_DIRECTORY

    def upload(self, name: str) -> Path:
        """Return where the upload of a job lies."""
        return self._directory / (name + _UPLOAD)

    def results(self, name: str) -> Path:
        """Return where the results of a job lie."""
        return self._directory / (name + _RESULTS)

    def has_upload(self, name: str) -> bool:
        """True when this machine can do the job."""
        return self.upload(name).is_file()

    def drop_upload(self, name: str) -> None:
        """Remove what was handed in."""
        with suppress(OSError):
            self.upload(name).unlink(missing_ok=True)

    def drop(self, name: str) -> None:
        """Remove all files of a job."""
        self.drop_upload(name)
        with suppress(OSError):
            self.results(name).unlink(missing_ok=True)

    def sweep(self, waiting: set[str], before: float) -> None:
        """Remove uploads that no job waits for and that were not touched since: what a crash left behind.

        `before` is an epoch second.
        """
        for path in self._directory.glob("*"):
            if path.suffix in (_UPLOAD, _DRAFT) and path.stem not in waiting:
                with suppress(OSError):
                    if path.stat().st_mtime < before:
                        path.unlink()

    def receive(self) -> "Upload":
        """Begin an upload.  Raises FilesFailed."""
        owner = self._make_directory()
        return Upload(self, secrets.token_hex(16), owner)

    def _make_directory(self) -> os.stat_result:
        """Make the directory, as the data directory's owner would; return that owner."""
        try:
            owner = self._directory.parent.stat()
            self._directory.mkdir(_DIRECTORY_MODE, exist_ok=True)
            _give(self._directory, owner)
        except OSError as error:
            raise FilesFailed(f"cannot use {self._directory}: {error.strerror}") from error
        return owner


class Upload:
    """A file that is being handed in, block by block; it counts once it is `finish`ed, and goes if it never is."""

    def __init__(self, files: JobFiles, name: str, owner: os.stat_result) -> None:
        """Raises FilesFailed."""
        self.name = name
        self.size = 0
        self._files = files
        self._draft = files.upload(name).with_suffix(_DRAFT)
        self._owner = owner
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            self._descriptor = os.open(self._draft, flags, _FILE_MODE)
        except OSError as error:
            raise FilesFailed(f"cannot make {self._draft}: {error.strerror}") from error

    def __enter__(self) -> "Upload":
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._draft.unlink(missing_ok=True)

    def write(self, block: bytes) -> None:
        """Add a block.  Raises UploadTooLarge, FilesFailed."""
        self.size += len(block)
        if self.size > MAX_UPLOAD_BYTES:
            raise UploadTooLarge(f"a job takes at most {MAX_UPLOAD_BYTES} bytes")
        try:
            free = os.fstatvfs(self._descriptor)
            if free.f_bavail * free.f_frsize < RESERVE_BYTES:
                raise FilesFailed("the disk of the data directory is nearly full")
            _write_all(self._descriptor, block)
        except OSError as error:
            raise FilesFailed(f"cannot write {self._draft}: {error.strerror}") from error

    def finish(self) -> None:
        """Make it last.  Raises FilesFailed."""
        try:
            os.fsync(self._descriptor)
            _give(self._draft, self._owner)
            self._draft.rename(self._files.upload(self.name))
        except OSError as error:
            raise FilesFailed(f"cannot write {self._draft}: {error.strerror}") from error
        os.close(self._descriptor)
        self._descriptor = -1


class Results:
    """The result file of a job that runs; written ahead of the commit that says how much of it counts."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, offset: int, lines: bytes) -> None:
        """Put lines after the first `offset` bytes, in place of whatever stands there.  Raises FilesFailed."""
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE)
            try:
                os.ftruncate(descriptor, offset)
                os.lseek(descriptor, offset, os.SEEK_SET)
                _write_all(descriptor, lines)
                os.fdatasync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise FilesFailed(
                f"cannot write the results to {self._path}: {error.strerror}"
            ) from error


def read_blocks(path: Path, size: int) -> Iterator[bytes]:
    """Return the first `size` bytes of a file in blocks.  Raises OSError."""
    with path.open("rb") as file:
        while size > 0 and (block := file.read(min(BLOCK_BYTES, size))):
            size -= len(block)
            yield block


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _give(path: Path, owner: os.stat_result) -> None:
    """Hand a file to the node's account, when the superuser makes it for the node."""
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.chown(path, owner.st_uid, owner.st_gid)
