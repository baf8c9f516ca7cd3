"""The keys of a log, in `<data_dir>/ledger/keys`: made once, and never in the place of those that are missing.

log.key, log-sm2.key      private, readable by the node alone (the text form of Go's note package)
log.vkey                  public: what an auditor is given, out of band; a line for each key
"""

import secrets
from collections.abc import Callable
from pathlib import Path

from node.ledger.durable import PUBLIC_FILE, make_directory, read_if_there, write_durably
from node.ledger.keys import NoteError
from node.ledger.logfiles import LogDamaged
from node.ledger.note import Ed25519Signer, Signer
from node.ledger.sm2 import Sm2Signer
from resolver.keys import sm

SEED_BYTES = 32
KEY, SM2_KEY, PUBLIC = "log.key", "log-sm2.key", "log.vkey"


def load_signers(directory: Path, origin: str, *, sm2: bool, is_new: bool) -> tuple[Signer, ...]:
    """Return the signers of a log, Ed25519 first; `is_new` says that it has no leaf yet, so that keys may be made.

    An SM2 key may come later: the Ed25519 line vouches for all.  Raises LogDamaged for a key that is missing or another
    log's, NoteError for an origin that no key may have, OSError.
    """
    make_directory(directory)
    found: list[Signer] = [_load_ed25519(directory / KEY, origin, is_new=is_new)]
    if sm2:
        found.append(_load_sm2(directory / SM2_KEY, origin))
    for signer in found:
        if signer.key.name != origin:
            raise LogDamaged(
                f"the keys in {directory} are those of {signer.key.name}, not {origin}: an origin is for life"
            )
    public = "".join(f"{signer.key}\n" for signer in found).encode()
    if read_if_there(directory / PUBLIC) != public:
        write_durably(directory / PUBLIC, public, PUBLIC_FILE)
    return tuple(found)


def _load_ed25519(path: Path, origin: str, *, is_new: bool) -> Signer:
    def make() -> str:
        if not is_new:
            raise LogDamaged(
                f"{path} is missing, and this log has leaves: put it back; a new key would be a new log to everybody"
            )
        return Ed25519Signer(origin, secrets.token_bytes(SEED_BYTES)).secret

    return _load(path, Ed25519Signer.parse, make)


def _load_sm2(path: Path, origin: str) -> Signer:
    return _load(path, Sm2Signer.parse, lambda: Sm2Signer(origin, sm.make()).secret)


def _load(path: Path, parse: Callable[[str], Signer], make: Callable[[], str]) -> Signer:
    data = read_if_there(path)
    if data is None:
        data = f"{make()}\n".encode()
        write_durably(path, data)
    try:
        return parse(data.decode())
    except (NoteError, UnicodeDecodeError) as error:
        raise LogDamaged(
            f"{path} is no private key of a log ({error}); put back the one that was here"
        ) from error
