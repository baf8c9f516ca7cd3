"""Files of keys: written once, readable by their owner alone, read with errors that say what to do.

Law: such a file is there whole or not at all; a key that is there is never written over.
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from resolver.keys.private import PrivateKey, from_pem

MAX_KEY_FILE_BYTES = 65_536  # the longest private key is a tenth of it
SECRET_BYTES = 24  # 192 bits, 32 characters: more than anybody tries, and fit to be copied

_FILE_MODE = 0o600


def write_new(path: Path, data: bytes, mode: int = _FILE_MODE) -> None:
    """Write a file that is not there yet.  Raises FileExistsError when it is, OSError."""
    draft = _write_draft(path, data, mode)
    try:
        os.link(draft, path)
    finally:
        draft.unlink()


def write_unless_there(path: Path, data: bytes, mode: int = _FILE_MODE) -> None:
    """Write a file, or leave the one that another process wrote first.  Raises OSError."""
    with suppress(FileExistsError):
        write_new(path, data, mode)


def replace(path: Path, data: bytes) -> None:
    """Put a file in the place of the one that is there: whoever reads sees the old or the new.  Raises OSError."""
    _write_draft(path, data, _FILE_MODE).replace(path)


def load_private(path: Path) -> PrivateKey:
    """Read a private key from a PEM file.  Raises ValueError that names the file and what is wrong, OSError."""
    pem = read_key_file(path)
    try:
        return from_pem(pem)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def make_secret() -> str:
    """Make a secret key: text, since people and configuration files carry it."""
    return secrets.token_urlsafe(SECRET_BYTES)


def read_key_file(path: Path) -> bytes:
    """Read a file that holds no more than keys and certificates.  Raises ValueError when it is longer, OSError."""
    with path.open("rb") as file:
        data = file.read(MAX_KEY_FILE_BYTES + 1)
    if len(data) > MAX_KEY_FILE_BYTES:
        raise ValueError(f"{path}: longer than {MAX_KEY_FILE_BYTES} bytes, so no key file")
    return data


def _write_draft(path: Path, data: bytes, mode: int) -> Path:
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with open(os.open(draft, flags, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return draft
