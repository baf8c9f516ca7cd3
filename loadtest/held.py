"""What a node holds: memory, by the kind of its processes, and bytes on the disk, by table and by directory.

Memory is the proportional share (`Pss` of /proc/PID/smaps_rollup): what several processes share counts once in their
sum.  `private_bytes` is the part that is a process's own and no file's, in which a leak would show.
"""

import json
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from loadtest import cpu
from loadtest.stand import Node
from loadtest.write_rows import ask

_KINDS = {  # what a command line holds: the kind of the process
    "node.process.worker": "worker",
    "node.process.keeper": "keeper",
    "postgres": "postgres",
    "valkey": "valkey",
}
_TABLES = """
select coalesce(json_object_agg(relname, pg_total_relation_size(oid)), '{}') from pg_class
where relkind = 'r' and relnamespace = current_schema()::regnamespace
"""
_SERIAL = "select serial from change_counter"
_WAL = "select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint"


def kind_of(command: str) -> str:
    """Return what a process of a node is: worker, keeper, postgres, valkey, or supervisor."""
    program = command.split(" ", 1)[0].rpartition("/")[2]
    found = (kind for name, kind in _KINDS.items() if name in (command if "." in name else program))
    return next(found, "supervisor")


def processes_of(node: Node) -> dict[int, str]:
    """Return a node's processes: pid and kind."""
    return {pid: kind_of(cpu.command(pid)) for pid in cpu.tree([node.process.pid])}


def memory_of(node: Node) -> dict[str, int]:
    """Return the bytes that each kind of process holds, several of a kind added up."""
    found: Counter[str] = Counter()
    for pid, kind in processes_of(node).items():
        found[kind] += _rollup(pid, "Pss")
    return dict(found)


def private_bytes(pid: int) -> int:
    """Return the memory of a process that is its own and no file's, in bytes (0 when it is gone)."""
    return _rollup(pid, "Pss_Anon")


def _rollup(pid: int, field: str) -> int:
    with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == field:
                return int(value.split()[0]) * 1024
    return 0


@dataclass(frozen=True, slots=True)
class Stored:
    """What Postgres has written: changes, bytes of its log, bytes of each table."""

    changes: int
    wal: int
    tables: Mapping[str, int]

    @classmethod
    def read(cls, node: Node) -> "Stored":
        """Ask a node's Postgres."""
        return cls(int(ask(node, _SERIAL)[0]), wal_of(node), tables_of(node))

    def since(self, before: "Stored") -> str:
        """Say what a change added since then, in bytes, in the log and in the tables that grew."""
        changes = max(1, self.changes - before.changes)
        grown = {name: size - before.tables.get(name, 0) for name, size in self.tables.items()}
        ordered = sorted(((size // changes, name) for name, size in grown.items()), reverse=True)
        tables = ", ".join(f"{name} {size:,}" for size, name in ordered if size > 0)
        wal = (self.wal - before.wal) // changes
        return f"bytes a change, of {changes:,}: log {wal:,}; {tables or 'no table grew'}"


def tables_of(node: Node) -> Mapping[str, int]:
    """Return the bytes of each table of a node's database, its indexes and long values included."""
    tables: dict[str, int] = json.loads(ask(node, _TABLES)[0])
    return tables


def wal_of(node: Node) -> int:
    """Return how many bytes Postgres has ever written to its log."""
    return int(ask(node, _WAL)[0])


def bytes_below(*directories: Path) -> int:
    """Return the bytes of all files below directories; what vanishes meanwhile is passed over."""
    return sum(_size(path) for directory in directories for path in directory.rglob("*"))


def _size(path: Path) -> int:
    with suppress(FileNotFoundError):
        return path.stat().st_size if path.is_file() else 0
    return 0


def megabytes(held: Mapping[str, int], least: int = 100_000) -> str:
    """Say how much of each kind, the most first, in MB of a million bytes; what has less than `least` is left out."""
    ordered = sorted(held.items(), key=lambda each: -each[1])
    return ", ".join(f"{name} {size / 1e6:.1f}" for name, size in ordered if size >= least)
