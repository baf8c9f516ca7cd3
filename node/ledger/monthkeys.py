"""Month keys: 32 random bytes a month, from which the tags of its days are made; files `month-2026-11.key`.

They stay on this machine, readable by the node alone, until the operator destroys them: then nobody can tell any more
whose tags those were.  Their SHA-256 stands in the log from the beginning of the month.
"""

import os
import re
import secrets
from contextlib import suppress
from pathlib import Path

from node.ledger.lanefile import LaneError, sync_directory
from node.ledger.tags import KEY_BYTES

_FILE_MODE = 0o600
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


class MonthKeys:
    """The month keys in a directory; several processes may use it at once."""

    def __init__(self, directory: Path) -> None:
        """The directory is made when the first key is."""
        self._directory = directory

    def path(self, month: str) -> Path:
        """Return the file of a month, `2026-11`."""
        if not _MONTH.fullmatch(month):
            raise ValueError(f"{month} is no month such as 2026-11")
        return self._directory / f"month-{month}.key"

    def key(self, month: str) -> bytes:
        """Return the key of a month, made if there is none: one process makes it, all read that one.

        Raises OSError, and LaneError when the file holds no key.
        """
        path = self.path(month)
        if not path.exists():
            self._make(path)
        try:
            key = bytes.fromhex(path.read_text("ascii"))
        except ValueError:
            key = b""
        if len(key) != KEY_BYTES:
            raise LaneError(
                f"{path} is no month key ({2 * KEY_BYTES} hexadecimal digits); put back the one that was here"
            )
        return key

    def _make(self, path: Path) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}")
        with open(draft, "w", opener=lambda name, flags: os.open(name, flags, _FILE_MODE)) as file:
            file.write(secrets.token_hex(KEY_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            with suppress(FileExistsError):  # another process was first
                os.link(draft, path)
            sync_directory(self._directory)
        finally:
            draft.unlink()
