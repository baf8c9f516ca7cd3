"""`idnode audit`: verify a ledger offline, make what auditors are given, and make the database's part of it again.

What verifies (`verify`, `prove`, `recount`, `diff`) needs no node, no database and no settings, and is the same in the
zipapp; what makes evidence works on the files of this node.
"""

import argparse
import asyncio
from pathlib import Path

from node import config
from node.cli import auditask, auditmake, sources
from node.errors import Kind, RegistryError
from node.ledger.keys import NoteError, VerifierKey
from node.ledger.leaf import LeafError
from node.ledger.logfiles import KEYS, LogDamaged, LogFiles
from node.ledger.quorum import Policy, PolicyError
from node.ledger.rebuild import LogInUse, Rebuilt, rebuild
from node.ledger.role import DIRECTORY
from node.ledger.signing import PUBLIC
from node.ledger.sm2 import check_sm2
from node.ledger.verify import command
from node.process.borrowing import borrowed_postgres
from node.settings import Settings
from node.store.database import StoreError, StoreUnavailable, connect, migrate

_EPILOG = """\
An auditor needs no node: `make audit-tool` makes dist/idnode-audit.pyz, which has verify, prove,
recount and diff, and needs Python 3.11 and `cryptography`.  See docs/audit-guide.md.

examples:
  idnode audit verify evidence-2026-11 --log-key log.vkey --policy mine.tlog-policy
  idnode audit prove 0.41.5050370.tlog-proof --log-key log.vkey --policy mine.tlog-policy
  idnode audit export 2026-11 --to /srv/evidence --bodies

exit codes of the words that verify: those of docs/reference/audit.md; of the others:
  0  done
  2  wrong use, or the files of the ledger are damaged
  4  in conflict with what is there
  6  the node runs, and writes the log
  7  not available: the database, or the running node
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the verb takes."""
    parser.epilog = _EPILOG
    words = parser.add_subparsers(dest="word", metavar="WORD", title="words", required=True)
    command.add_words(words)
    auditmake.add_words(words)
    auditask.add_words(words)
    sources.add_words(words)
    words.add_parser(
        "rebuild-db",
        help="the database's part of the log, made again from its files; stop the node",
    )


def run(arguments: argparse.Namespace) -> int:
    """Carry out the word, and return the exit code.  Raises RegistryError."""
    if arguments.word in command.ACTS:
        return command.run(arguments, check_sm2)
    if arguments.word in auditmake.ACTS:
        return auditmake.run(arguments)
    if arguments.word in auditask.ACTS:
        return auditask.run(arguments)
    if arguments.word == sources.WORD:
        return sources.run(arguments)
    done = _rebuild(config.load())
    print(
        f"{done.origin}: {done.leaves:,} leaves and {done.cosignatures:,} cosignatures from files"
    )
    return 0


def _rebuild(settings: Settings) -> Rebuilt:
    files = LogFiles(settings.data_dir / DIRECTORY)
    try:
        return asyncio.run(_rebuild_rows(settings, files))
    except LogInUse as error:
        raise RegistryError(Kind.IN_USE, f"{error}.") from error
    except (LogDamaged, LeafError, NoteError, PolicyError, OSError) as error:
        raise RegistryError(Kind.INVALID, f"{error}; nothing was changed.") from error
    except (StoreUnavailable, StoreError) as error:
        raise RegistryError(Kind.UNAVAILABLE, f"{error}; nothing was changed.") from error


async def _rebuild_rows(settings: Settings, files: LogFiles) -> Rebuilt:
    keys = [
        VerifierKey.parse(line)
        for line in (files.directory / KEYS / PUBLIC).read_text().splitlines()
    ]
    async with borrowed_postgres(settings) as lent:
        await migrate(lent.database_url)  # a database that was lost is an empty one now
        connection = await connect(lent.database_url)
        try:
            return await rebuild(connection, files, keys, _policy(settings))
        finally:
            await connection.close()


def _policy(settings: Settings) -> Policy | None:
    """The witnesses of the settings, whose cosignatures are kept."""
    path: Path | None = settings.ledger_witnesses
    return None if path is None else Policy.parse(path.read_bytes())
