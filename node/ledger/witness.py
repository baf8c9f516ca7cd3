"""Witness: one witness of this log, as its client (C2SP tlog-witness, `add-checkpoint`).

Laws.  A cosignature is worth nothing until the witness's own key and its time were checked.  What fails may be asked
again; a refusal (`WitnessRefused`) may not: the witness has seen a tree that ours does not begin with or go on from,
so somebody signed two histories, or an old copy of this one was restored, and only a person can say which.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum

import httpx

from node.ledger.checkpoint import Checkpoint
from node.ledger.keys import NoteError
from node.ledger.note import Note, Signature, check_cosignature, cosigned_at
from node.ledger.quorum import Witness
from node.ledger.submission import (
    ADD_PATH,
    MAX_ANSWER_BYTES,
    Submission,
    parse_cosignatures,
    parse_known_size,
)
from resolver.target import BodyTooLarge, read_body

MAX_CLOCK_SECONDS = 120  # between a witness's clock and ours
MAX_CONFLICTS = 3  # in a row: the size that a witness names may be overtaken once, not for ever
MAX_QUOTED = 200  # characters of an answer that go into messages
OK, CONFLICT, UNPROCESSABLE = 200, 409, 422

Clock = Callable[[], float]
"""POSIX seconds."""

Prove = Callable[[int], Sequence[bytes]]
"""prove(old): that the tree of the old size begins the submitted one."""


class Cause(StrEnum):
    """Why a witness refuses for good."""

    FORK = "fork"  # 422: what it has cosigned is not the beginning of what it was sent
    AHEAD = "ahead"  # it has cosigned a larger tree than ours


class WitnessFailed(Exception):
    """There is no cosignature this time; the text says why.  `retry_after` seconds are to be left to the witness."""

    def __init__(self, text: str, retry_after: float = 0.0) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class WitnessRefused(Exception):
    """The witness has seen another history than this one; it must not be asked again before somebody has looked."""

    def __init__(self, cause: Cause, text: str) -> None:
        super().__init__(text)
        self.cause = cause


class WitnessClient:
    """Asks one witness, over connections that `http` keeps; `known` is the size it has cosigned, as far as is known."""

    def __init__(
        self, witness: Witness, http: httpx.AsyncClient, clock: Clock, known: int = 0
    ) -> None:
        self.witness = witness
        self.known = known
        self._url = witness.url.rstrip("/") + ADD_PATH
        self._http = http
        self._clock = clock

    async def cosign(self, note: Note, checkpoint: Checkpoint, prove: Prove) -> Signature:
        """Have a checkpoint cosigned.  Raises WitnessFailed, WitnessRefused, and what `prove` raises."""
        old = self.known if self.known <= checkpoint.size else 0
        for _ in range(MAX_CONFLICTS):
            found = await self._submit(Submission(old, tuple(prove(old)), note), checkpoint)
            if isinstance(found, Signature):
                self.known = checkpoint.size
                return found
            self._check_known(found, checkpoint)
            old = found
        raise WitnessFailed(f"it names another size each time, {old} at last")

    async def size_seen(self, note: Note, checkpoint: Checkpoint) -> int:
        """Return the size that the witness has cosigned, 0 for none.  Raises WitnessFailed, WitnessRefused.

        It is asked to cosign a tree that it knows already, so that it learns nothing new.
        """
        found = await self._submit(Submission(checkpoint.size, (), note), checkpoint)
        return checkpoint.size if isinstance(found, Signature) else found

    def _check_known(self, size: int, checkpoint: Checkpoint) -> None:
        if size > checkpoint.size:
            text = f"it has cosigned {size} leaves of this log, which has {checkpoint.size} here"
            raise WitnessRefused(Cause.AHEAD, text)
        if size < self.known <= checkpoint.size:
            text = f"it cosigned {self.known} leaves before, and says now that it was {size}"
            raise WitnessFailed(f"it has forgotten what it saw: {text}")

    async def _submit(self, submission: Submission, checkpoint: Checkpoint) -> Signature | int:
        """Return the cosignature, or the size that the witness wants the proof to begin with."""
        asked_at = self._clock()
        status, headers, body = await self._post(submission.encode())
        if status == OK:
            return self._believe(body, checkpoint, asked_at)
        if status == CONFLICT:
            return _size_in(body)
        if status == UNPROCESSABLE:
            raise WitnessRefused(Cause.FORK, f"it answers 422: {_quote(body)}")
        raise WitnessFailed(f"it answers {status}: {_quote(body)}", _retry_after(headers))

    async def _post(self, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        try:
            async with self._http.stream("POST", self._url, content=body) as response:
                answer = await read_body(response.aiter_bytes(), MAX_ANSWER_BYTES)
                return response.status_code, response.headers, answer
        except BodyTooLarge as error:
            raise WitnessFailed(f"its answer is too long: {error}") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise WitnessFailed(f"{type(error).__name__}: {error}") from error

    def _believe(self, body: bytes, checkpoint: Checkpoint, asked_at: float) -> Signature:
        """Return the line by this witness's key.  Raises WitnessFailed when there is none that is to be believed."""
        key = self.witness.key
        try:
            lines = parse_cosignatures(body)
            line = next(each for each in lines if (each.name, each.key_id) == (key.name, key.id))
            seconds = cosigned_at(line.data)
        except StopIteration:
            raise WitnessFailed(f"its answer has no line by the key {key.id.hex()}") from None
        except NoteError as error:
            raise WitnessFailed(f"its answer cannot be read: {error}") from error
        if not check_cosignature(key.public, checkpoint.text.encode(), line.data):
            raise WitnessFailed("its cosignature is wrong")
        late = seconds - self._clock()
        if late > MAX_CLOCK_SECONDS or seconds < asked_at - MAX_CLOCK_SECONDS:
            raise WitnessFailed(f"its clock differs from ours by {abs(late):.0f} s")
        return line


def _size_in(body: bytes) -> int:
    try:
        return parse_known_size(body)
    except NoteError as error:
        raise WitnessFailed(f"its 409 cannot be read: {error}") from error


def _retry_after(headers: Mapping[str, str]) -> float:
    text = headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0.0


def _quote(body: bytes) -> str:
    text = body.decode("utf-8", "replace")[:MAX_QUOTED]
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())
