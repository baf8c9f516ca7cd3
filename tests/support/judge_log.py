"""Let programs that nobody here wrote verify a log: aics-tlog its quorum and proofs, openssl its signatures.

A log is a directory of tlog-tiles with its `checkpoint`, and what its reader knows from elsewhere: keys, and an older
checkpoint.  Each judge also has to refuse: with a flipped bit in a tile, an entry, the root or a signature, with one
witness too few, with a history that was rewritten and signed again.  A judge that is missing is a failure.
"""

import argparse
import json
import shutil
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from node.ledger.checkpoint import Checkpoint
from node.ledger.keys import SignatureType, VerifierKey
from node.ledger.note import Note, cosigned_at, cosigned_message
from node.ledger.sm2 import SIGNER_ID, Sm2Signer
from node.ledger.tiles import ENTRIES, decode_entries, tile_at
from resolver.keys import sm
from tests.support.logs import ORIGIN, WrittenLog, make_leaves, seed
from tests.support.nodes import ROOT

AICS_TLOG = ROOT / ".judges" / "bin" / "aics-tlog"
OLD_SIZE, NEW_SIZE = 600, 1_000
TIMEOUT_SECONDS = 60.0
TIME_BYTES = 8

Change = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class JudgedLog:
    """A log in a directory, and what an auditor has of it: keys, how many witnesses he wants, a checkpoint he kept."""

    directory: Path
    log_key: VerifierKey
    witness_keys: tuple[VerifierKey, ...]
    quorum: int
    old_checkpoint: Path
    sm2_key: VerifierKey | None = None
    rewritten: Path | None = (
        None  # another history in tiles, signed with the same keys, when there is one
    )

    @property
    def note(self) -> Note:
        """The checkpoint that it publishes."""
        return Note.parse((self.directory / "checkpoint").read_bytes())


def main() -> int:
    """Judge the log that the words name, or one of our own; return 1 when a judge is not content."""
    with _chosen(_options()) as log:
        return judge_log(log)


def judge_log(log: JudgedLog) -> int:
    """Return 1 when a judge refuses the log, accepts what was done to it, or is missing."""
    failed = 0
    for judge in (_judge_tlog, _judge_openssl):
        said = list(judge(log))
        failed += not said
        for what, is_right in said:
            failed += not is_right
            sys.stdout.write(f"{'ok    ' if is_right else 'FAILED'} {what}\n")
    return 1 if failed else 0


def _judge_tlog(log: JudgedLog) -> Iterator[tuple[str, bool]]:
    if not AICS_TLOG.exists():
        yield f"aics-tlog is not at {AICS_TLOG}: make judges installs it", False
        return
    yield "aics-tlog: checkpoint, quorum and right edge", _tlog(log, "verify-checkpoint")
    yield "aics-tlog: consistent with the older checkpoint", _is_consistent(log)
    size = Checkpoint.parse(log.note.text).size
    for index in sorted({0, size // 2, size - 1}):
        yield f"aics-tlog: leaf {index} is in it", _includes(log, index, _entry(log, index, size))
    yield "aics-tlog: another leaf is not", not _includes(log, 0, b"another leaf")
    short = replace(log, quorum=len(log.witness_keys) + 1)
    yield "aics-tlog refuses a quorum not met", not _tlog(short, "verify-checkpoint")
    for what, tampered in _tampered(log):
        yield f"aics-tlog refuses {what}", not _accepts(tampered)
    if log.rewritten is not None:
        forged = replace(log, directory=log.rewritten)
        yield "aics-tlog accepts a rewritten log, seen alone", _tlog(forged, "verify-checkpoint")
        yield "aics-tlog refuses it to who kept a checkpoint", not _is_consistent(forged)


def _judge_openssl(log: JudgedLog) -> Iterator[tuple[str, bool]]:
    if shutil.which("openssl") is None:
        yield "openssl is missing: apt-get install openssl", False
        return
    keys = [log.log_key, *log.witness_keys, *([log.sm2_key] if log.sm2_key else [])]
    for key in keys:
        message, signature = _signed(log.note, key)
        name = f"{key.type.name} line of {key.name}"
        yield f"openssl: {name}", _openssl(key, message, signature)
        yield f"openssl refuses {name}, text changed", not _openssl(key, b"x" + message, signature)


def _tlog(log: JudgedLog, command: str, *words: str) -> bool:
    """Whether aics-tlog is content; that it did not crash shows in its one line of JSON."""
    witnesses = [word for key in log.witness_keys for word in ("--witness-key", str(key))]
    run = subprocess.run(
        [str(AICS_TLOG), command, "--tiles", str(log.directory), "--log-key", str(log.log_key),
         "--origin", log.log_key.name, *witnesses, "--quorum", str(log.quorum), *words],
        capture_output=True, timeout=TIMEOUT_SECONDS, check=False,
    )  # fmt: skip
    is_content = json.loads(run.stdout)["ok"]
    assert isinstance(is_content, bool)
    assert is_content is (run.returncode == 0)
    return is_content


def _is_consistent(log: JudgedLog) -> bool:
    return _tlog(log, "verify-consistency", "--old-checkpoint", str(log.old_checkpoint))


def _includes(log: JudgedLog, index: int, entry: bytes) -> bool:
    with TemporaryDirectory(prefix="idnode-leaf-") as directory:
        leaf = Path(directory) / "leaf"
        leaf.write_bytes(entry)
        return _tlog(log, "verify-inclusion", "--index", str(index), "--leaf", str(leaf))


def _accepts(log: JudgedLog) -> bool:
    """Whether nothing is amiss for who looks at the right edge, the old checkpoint and the first and last entry."""
    size = Checkpoint.parse(log.note.text).size
    commands: list[tuple[str, ...]] = [("verify-checkpoint",)]
    commands += [("verify-consistency", "--old-checkpoint", str(log.old_checkpoint))]
    commands += [("verify-inclusion", "--index", str(index)) for index in (0, size - 1)]
    return all(_tlog(log, *command) for command in commands)


def _entry(log: JudgedLog, index: int, size: int) -> bytes:
    bundle = tile_at(0, index // 256, size)._replace(level=ENTRIES)
    return decode_entries((log.directory / bundle.path).read_bytes())[index % 256]


def _tampered(log: JudgedLog) -> Iterator[tuple[str, JudgedLog]]:
    """Yield copies of the log, each with one thing changed, and what that is."""
    size = Checkpoint.parse(log.note.text).size
    first, last = tile_at(0, 0, size), tile_at(0, (size - 1) // 256, size)
    files = (first, last, first._replace(level=ENTRIES), last._replace(level=ENTRIES))
    changes: list[tuple[str, str, Change]] = [
        (f"a flipped bit in {tile.path}", tile.path, _flip) for tile in files
    ]
    changes += [
        ("another size", "checkpoint", partial(_change_line, 1, b"99999")),
        ("another root", "checkpoint", partial(_change_line, 2, b64encode(bytes(32)))),
    ]
    changes += [
        (f"a flipped bit in the line of {key.name}", "checkpoint", partial(_flip_signature, key))
        for key in (log.log_key, *log.witness_keys)
    ]
    for what, name, change in changes:
        with _copy(log) as copied:
            path = copied.directory / name
            path.write_bytes(change(path.read_bytes()))
            yield what, copied


@contextmanager
def _copy(log: JudgedLog) -> Iterator[JudgedLog]:
    with TemporaryDirectory(prefix="idnode-tampered-") as directory:
        shutil.copytree(log.directory, directory, dirs_exist_ok=True)
        yield replace(log, directory=Path(directory))


def _flip(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def _change_line(number: int, line: bytes, data: bytes) -> bytes:
    lines = data.split(b"\n")
    return b"\n".join([*lines[:number], line, *lines[number + 1 :]])


def _flip_signature(key: VerifierKey, data: bytes) -> bytes:
    note = Note.parse(data)
    found = next(line for line in note.signatures if line.key_id == key.id)
    return note.signed(found._replace(data=_flip(found.data))).encode()


def _signed(note: Note, key: VerifierKey) -> tuple[bytes, bytes]:
    """Return the message that the key has signed and the bare signature of it."""
    data = next(line.data for line in note.signatures if line.key_id == key.id)
    if key.type is SignatureType.COSIGNATURE:
        return cosigned_message(note.text.encode(), cosigned_at(data)), data[TIME_BYTES:]
    return note.text.encode(), data


def _openssl(key: VerifierKey, message: bytes, signature: bytes) -> bool:
    """Whether openssl finds the signature right; SM2 needs the hash and the signer's id said."""
    how = ["-rawin"]
    if key.type is SignatureType.SM2_SM3:
        how += ["-digest", "sm3", "-pkeyopt", f"distid:{SIGNER_ID.decode()}"]
    with TemporaryDirectory(prefix="idnode-openssl-") as name:
        parts = {"key": key.der, "message": message, "signature": signature}
        paths = {part: str(Path(name) / part) for part in parts}
        for part, data in parts.items():
            Path(paths[part]).write_bytes(data)
        run = subprocess.run(
            ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", paths["key"], *how,
             "-in", paths["message"], "-sigfile", paths["signature"]],
            capture_output=True, timeout=TIMEOUT_SECONDS, check=False,
        )  # fmt: skip
    return run.returncode == 0 and b"Verified Successfully" in run.stdout


@contextmanager
def own_log() -> Iterator[JudgedLog]:
    """Yield a log of our modules' own, which grew while somebody watched."""
    with TemporaryDirectory(prefix="idnode-log-") as name:
        directory, old, rewritten = (Path(name) / part for part in ("log", "old", "rewritten"))
        sm2 = Sm2Signer(ORIGIN, sm.Sm2PrivateKey.from_scalar(seed("sm2")))
        log, leaves = WrittenLog(), make_leaves(NEW_SIZE)
        log.append(leaves[:OLD_SIZE])
        old.write_bytes(log.note(sm2).encode())
        log.append(leaves[OLD_SIZE:])
        log.write(directory, log.note(sm2))
        other = WrittenLog()
        other.append([b"another leaf", *leaves[1:]])
        other.write(rewritten, other.note())
        witnesses = tuple(witness.key for witness in log.witnesses)
        yield JudgedLog(directory, log.signer.key, witnesses, 2, old, sm2.key, rewritten)


@contextmanager
def _chosen(words: argparse.Namespace) -> Iterator[JudgedLog]:
    if words.directory is None:
        with own_log() as log:
            yield log
        return
    witnesses = tuple(map(VerifierKey.parse, words.witness_key))
    sm2_key = words.sm2_key and VerifierKey.parse(words.sm2_key)
    key = VerifierKey.parse(words.log_key)
    yield JudgedLog(words.directory, key, witnesses, words.quorum, words.old_checkpoint, sm2_key)


def _options(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument(
        "directory", type=Path, nargs="?", help="tlog-tiles; without it, a log is made"
    )
    parser.add_argument("--log-key", help="the log's verifier key")
    parser.add_argument("--sm2-key", help="the verifier key of its SM2 line")
    parser.add_argument("--witness-key", action="append", default=[], help="a witness's; repeat")
    parser.add_argument(
        "--quorum", type=int, default=0, help="how many witnesses must have cosigned"
    )
    parser.add_argument(
        "--old-checkpoint", type=Path, help="a file with an older signed checkpoint"
    )
    options = parser.parse_args(words)
    if options.directory and not (options.log_key and options.old_checkpoint):
        parser.error("a directory is judged with --log-key and --old-checkpoint")
    return options


if __name__ == "__main__":
    sys.exit(main())
