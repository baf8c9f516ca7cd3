"""The evidence of a month: one directory, or one archive, that an auditor checks without a network or a database.

    report.json report.note report.html report.pdf    log/checkpoint log/tile/… log/heads/…    leaves.jsonl
    days/<day>.json    policy/policy.tlog-policy policy/pol-*.json policy/robots-<sha256>.json
    anchors/ acks/    index/sumdb/… index/proxy/…
    SHA256SUMS SM3SUMS    bodies/…                    records only in the accredited edition

`leaves.jsonl` is a convenience: a line must equal the tile's.  Trust roots are not in it: keys and the witness policy
come from somebody else than the node; what lies in `policy/` is what the log itself says.
"""

import re
import tarfile
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from shutil import copyfile
from typing import NamedTuple

from node.ledger.block import body_path, sm3
from node.ledger.checkpoint import Checkpoint
from node.ledger.classes import robots_path
from node.ledger.closing import DAYS
from node.ledger.day import day_at
from node.ledger.index import DIRECTORY as INDEX
from node.ledger.leaf import Acknowledgement, Anchor, Block, CountPolicy, Genesis, parse
from node.ledger.logfiles import BODIES, CHECKPOINT, HEADS, LOG, POLICY, LogDamaged, LogFiles
from node.ledger.tags import day_name
from node.ledger.tiles import entries_for, tiles_for

ACKS, ANCHORS, REPORTS = "acks", "anchors", "reports"
LEAVES, SHA256SUMS, SM3SUMS = "leaves.jsonl", "SHA256SUMS", "SM3SUMS"

_ROBOTS = Path(__file__).with_name("robots.json")
_REPORT = re.compile(r"([0-9]{4}-[0-9]{2})-v([1-9][0-9]*)", re.ASCII)


class Edition(NamedTuple):
    """What to put in: a month's report, and the records of its days for an accredited auditor."""

    month: str
    with_bodies: bool = False


class Exported(NamedTuple):
    """What was put in: files and bytes, and the bodies that are not here any more."""

    files: int
    size: int
    missing: int


def export_evidence(ledger: LogFiles, target: Path, edition: Edition) -> Exported:
    """Write the evidence of a month into a directory that is not there yet.

    Raises FileExistsError, LogDamaged, LeafError, NoteError, OSError.
    """
    target.mkdir(parents=True)
    size = _copy_log(ledger, target)
    _copy_tree(ledger.directory / INDEX, target / INDEX)
    _copy_tree(ledger.directory / DAYS, target / DAYS, "*-*-*.json")
    report = newest_report_directory(ledger.directory, edition.month)
    if report is not None:
        _copy_tree(report, target)
    missing = _write_leaves(ledger, target, edition, size)
    return _write_sums(target, missing)


def pack_evidence(directory: Path, archive: Path) -> None:
    """Pack a directory of evidence into a tar; its members begin with the directory's name.  Raises OSError."""
    with tarfile.open(archive, "x:gz") as packed:
        for path in sorted(directory.rglob("*")):
            if path.is_file():
                packed.add(
                    path, f"{directory.name}/{path.relative_to(directory)}", filter=_anonymous
                )


def archive_name(origin: str, month: str) -> str:
    """Return the name of a month's evidence: evidence-log.example-ledger-2026-11."""
    return f"evidence-{re.sub(r'[^A-Za-z0-9.-]+', '-', origin)}-{month}"


def newest_report_directory(ledger: Path, month: str) -> Path | None:
    """Return where the newest version of a month's report lies, None when there is none."""
    directory = ledger / REPORTS
    found = (
        []
        if not directory.is_dir()
        else [_REPORT.fullmatch(path.name) for path in directory.iterdir()]
    )
    versions = [int(name[2]) for name in found if name is not None and name[1] == month]
    return directory / f"{month}-v{max(versions)}" if versions else None


def _copy_log(ledger: LogFiles, target: Path) -> int:
    """The newest checkpoint, all tiles and entries of its tree, and all cosigned heads; return its size."""
    published = ledger.published()
    if published is None:
        raise LogDamaged(f"{ledger.directory} has no checkpoint: there is nothing to export")
    size = Checkpoint.parse(published.text).size
    for tile in tiles_for(0, size) + entries_for(0, size):
        _write(target / LOG / tile.path, ledger.read_tile(tile))
    _write(target / LOG / CHECKPOINT, published.encode())
    for each in ledger.head_sizes():
        if each <= size and (note := ledger.head(each)) is not None:
            _write(target / LOG / HEADS / f"{each}.note", note.encode())
    return size


def _write_leaves(ledger: LogFiles, target: Path, edition: Edition, size: int) -> int:
    """Write leaves.jsonl, what single leaves are worth a file for, and the bodies; return how many bodies are gone."""
    missing = 0
    with open(target / LEAVES, "xb") as lines:
        for index, line in enumerate(ledger.lines(0, size)):
            lines.write(line + b"\n")
            match parse(line):
                case Genesis() as leaf:
                    _write(target / POLICY / "policy.tlog-policy", leaf.policy.encode())
                case CountPolicy() as leaf:
                    _write(target / POLICY / f"pol-{leaf.number}.json", line)
                    _copy_robots(ledger, leaf, target)
                case Acknowledgement() as leaf:
                    _write(target / ACKS / f"{index}.note", leaf.note.encode())
                case Anchor() as leaf:
                    _write(target / ANCHORS / f"{index}.json", line)
                    _copy_if_there(
                        ledger.directory / ANCHORS / Path(leaf.file).name, target / ANCHORS
                    )
                case Block() as leaf if edition.with_bodies and _is_of(leaf, edition.month):
                    missing += not _copy_body(ledger, leaf, target)
    return missing


def _copy_robots(ledger: LogFiles, leaf: CountPolicy, target: Path) -> None:
    """Write the list of robots that a policy names by its digest: that of this version, or one that was kept."""
    digest = leaf.robots.get("sha256", "")
    name = Path(robots_path(digest)).name
    for path in (_ROBOTS, ledger.directory / POLICY / name):
        if path.is_file() and sha256(data := path.read_bytes()).hexdigest() == digest:
            _write(target / POLICY / name, data)


def _is_of(leaf: Block, month: str) -> bool:
    """True for a block that reaches into the month, though it ended in the next: its days are counted with it."""
    first, last = (day_name(day_at(time))[:7] for time in leaf.span)
    return first <= month <= last


def _copy_body(ledger: LogFiles, leaf: Block, target: Path) -> bool:
    body = ledger.read_body(leaf)
    if body:
        _write(target / BODIES / body_path(leaf), body)
    return body is not None


def _write_sums(target: Path, missing: int) -> Exported:
    """Write what `sha256sum -c` and `openssl dgst -sm3` can be held against."""
    paths = sorted(path for path in target.rglob("*") if path.is_file())
    makers: tuple[tuple[str, Callable[[bytes], str]], ...] = (
        (SHA256SUMS, lambda data: sha256(data).hexdigest()),
        (SM3SUMS, sm3),
    )
    for name, digest in makers:
        lines = (f"{digest(path.read_bytes())}  {path.relative_to(target)}\n" for path in paths)
        (target / name).write_text("".join(lines))
    return Exported(len(paths), sum(path.stat().st_size for path in paths), missing)


def _copy_tree(source: Path, target: Path, pattern: str = "*") -> None:
    for path in _files_below(source, pattern):
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        copyfile(path, place)


def _files_below(source: Path, pattern: str) -> Iterator[Path]:
    """Plain files that are not drafts; nothing is followed out of the directory."""
    for path in sorted(source.rglob(pattern)) if source.is_dir() else ():
        if path.is_file() and not path.is_symlink() and path.suffix != ".new":
            yield path


def _copy_if_there(path: Path, directory: Path) -> None:
    if path.is_file():
        directory.mkdir(parents=True, exist_ok=True)
        copyfile(path, directory / path.name)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """An entry that says nothing of the machine."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    member.mode = 0o644
    return member
