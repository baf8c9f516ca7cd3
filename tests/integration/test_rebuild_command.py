"""`idnode audit rebuild-db` on the embedded Postgres, which is down while the node is: it is started for that time."""

from pathlib import Path
from urllib.request import urlopen

from node.config import Settings, load
from node.ledger.checkpoint import Checkpoint
from node.ledger.inbox import ask
from node.ledger.logfiles import LogFiles
from node.process.borrowing import borrowed_postgres
from node.store.database import OwnConnection, connect
from node.store.ledger import clear_ledger, read_extent
from tests.support.nodes import NodeProcess, node_in


async def stored(settings: Settings, origin: str, *, clear: bool = False) -> int:
    """Return how many leaves the database has, before it is cleared."""
    async with borrowed_postgres(settings) as lent:
        connection: OwnConnection = await connect(lent.database_url)
        try:
            extent = await read_extent(connection, origin)
            if clear:
                await clear_ledger(connection, origin)
            return extent.stored
        finally:
            await connection.close()


def leaves(files: LogFiles) -> int:
    note = files.published()
    assert note is not None
    return Checkpoint.parse(note.text).size


def lived(lent: NodeProcess) -> LogFiles:
    """A node that ran and was stopped."""
    ledger = lent.data_dir / "ledger"
    settings = lent.start()
    urlopen(f"http://{settings.http_listen[0]}/healthz", timeout=10).close()
    ask(ledger)
    assert lent.stop() == 0
    return LogFiles(ledger)


async def test_rows_are_made_again_while_the_node_is_stopped(server_directory: Path) -> None:
    with node_in(server_directory / "rebuilt") as lent:
        files, settings = lived(lent), load(lent.environment)
        origin, size = (lent.data_dir / "ledger" / "origin").read_text().strip(), leaves(files)
        assert await stored(settings, origin, clear=True) == size
        assert await stored(settings, origin) == 0

        done = lent.run("audit", "rebuild-db")

        assert (done.returncode, done.stderr) == (0, "")
        assert f"{origin}: {size} leaves" in done.stdout
        assert await stored(settings, origin) == size
        assert lent.processes() == {}


async def test_running_node_keeps_its_rows(server_directory: Path) -> None:
    with node_in(server_directory / "in-use") as lent:
        lent.start()
        ask(lent.data_dir / "ledger")
        done = lent.run("audit", "rebuild-db")
        assert done.returncode == 6, done.stderr
        assert "stop the node first" in done.stderr
