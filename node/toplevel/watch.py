"""Watch: the witness that the top-level node is, for the ledger's log of the secondary node.

Logs are added while it runs; its directory is that of `idnode witness` (docs/reference/witness.md).
"""

import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from node.errors import Kind, RegistryError
from node.ledger.checkpoint import Checkpoint
from node.ledger.durable import write_durably
from node.ledger.keys import NoteError, VerifierKey
from node.ledger.memory import KEY_FILE, Memory, load_key, make_key
from node.ledger.witnessing import Evidence, watched
from node.web.witness import WitnessApi

LOGS_FILE = "logs"
SEED_BYTES = 32


class Watch:
    """The witness, and the logs that it watches.  Raises RegistryError for a directory that cannot be believed."""

    def __init__(self, directory: Path, name: str, clock: Callable[[], float]) -> None:
        self._directory = directory
        self._clock = clock
        self._memory: Memory | None = None
        self._api: WitnessApi | None = None
        if not (directory / KEY_FILE).exists():
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            make_key(directory, name, secrets.token_bytes(SEED_BYTES))
        self.cosigner = load_key(directory)
        self.key = self.cosigner.key
        self._keys = self._read_logs()
        self._open()

    def add(self, text: str) -> VerifierKey:
        """Watch a log, from now on and after a restart; its key is a verifier key.  Raises NoteError, OSError."""
        key = VerifierKey.parse(text.strip())
        if key not in self._keys:
            watched([*self._keys, key])
            keys = [*self._keys, key]
            write_durably(
                self._directory / LOGS_FILE, "".join(f"{each}\n" for each in keys).encode()
            )
            self._keys = keys
            self.close()
            self._open()
        return key

    async def add_checkpoint(self, request: Request) -> Response:
        """POST `/add-checkpoint`."""
        if self._api is None:
            return PlainTextResponse("no log is watched here\n", 404)
        return await self._api.add_checkpoint(request)

    async def checkpoint(self, request: Request) -> Response:
        """GET `/{origin_hash}/checkpoint`."""
        if self._api is None:
            return PlainTextResponse("no log is watched here\n", 404)
        return await self._api.checkpoint(request)

    def newest(self, origin: str) -> Checkpoint | None:
        """Return the newest tree of a log that was cosigned, None when there is none."""
        seen = self._memory.seen.get(origin) if self._memory is not None else None
        return seen.checkpoint if seen is not None else None

    def plain(self) -> dict[str, object]:
        """Return how it stands, as JSON has it."""
        memory = self._memory
        logs = []
        for origin in dict.fromkeys(each.name for each in self._keys):
            seen = memory.seen.get(origin) if memory is not None else None
            size, at = (seen.checkpoint.size, seen.seconds) if seen is not None else (0, None)
            logs.append({"origin": origin, "size": size, "at": at})
        forks = memory.count_evidence(Evidence.FORK) if memory is not None else 0
        return {"key": str(self.key), "logs": logs, "forks": forks}

    def close(self) -> None:
        """Let go of the directory."""
        if self._memory is not None:
            self._memory.close()
            self._memory = None

    def _open(self) -> None:
        if self._keys:
            self._memory = Memory.open(self._directory, self._keys)
            self._api = WitnessApi(self._memory, self._clock)

    def _read_logs(self) -> list[VerifierKey]:
        with suppress(FileNotFoundError):
            lines = (self._directory / LOGS_FILE).read_text("utf-8").split("\n")
            try:
                return [VerifierKey.parse(line) for line in lines if line]
            except NoteError as error:
                raise RegistryError(Kind.INVALID, f"{LOGS_FILE}: {error}.") from error
        return []
