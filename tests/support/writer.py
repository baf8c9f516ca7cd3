"""The writer of a log, for tests that have things put into a sample's ledger."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from node.ledger.inbox import Inbox, Told
from node.ledger.leaf import Leaf
from node.ledger.sample import Sample


@contextmanager
def keeper(directory: Path, sample: Sample) -> Iterator[None]:
    """Answer what is asked of the log's writer, as the keeper's role does."""
    inbox, stop = Inbox(directory), Event()
    inbox.make(0.0)

    def serve() -> None:
        while not stop.wait(0.01):
            for request in inbox.requests():
                leaf: Leaf | None = request.leaf
                assert leaf is not None
                inbox.tell(request, Told(sample.append(leaf), 0))

    thread = Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
