"""Proofs of native clients: who has answered a challenge, and whether the key that proved it is still there.

What a proof costs is charged to whom it comes from (`Labour`); all raise Overworked and SourceUnavailable.
"""

from resolver.authentication import AuthenticationFailed, Authenticator
from resolver.exchange import Asked, Outcome, Surroundings, refused
from resolver.labour import Labour
from resolver.registrar import Caller
from resolver.sessions import Known, Pending
from resolver.source import SourceUnavailable
from resolver.wire import (
    ChallengeAnswer,
    ResponseCode,
    VerifyAnswer,
    VerifyRequest,
    WireError,
)

_MARKER_BYTES = 32
_TOO_LATE = "The answer to the challenge came too late; ask again"


class Proofs:
    """Asks the authenticator."""

    def __init__(
        self, authenticator: Authenticator, surroundings: Surroundings, labour: Labour
    ) -> None:
        self._authenticator = authenticator
        self._world = surroundings
        self._labour = labour
        self._marker = surroundings.random_bytes(_MARKER_BYTES)

    async def caller(self, asked: Asked, pending: Pending, means: str) -> Caller | Outcome:
        """Return who has answered a pending challenge, or why nobody has."""
        if pending.is_late(self._world.epoch_seconds()):
            return refused(ResponseCode.AUTHENTICATION_TIMEOUT, _TOO_LATE)
        try:
            answer = ChallengeAnswer.decode(asked.message.body)
            with self._labour.share(asked.origin.payer):
                return await self._authenticator.challenge_answer(
                    answer, pending.challenge, str(asked.origin), means=means
                )
        except (WireError, AuthenticationFailed) as error:
            return refused(error.code, str(error))

    async def verify(self, asked: Asked) -> Outcome:
        """Say for another server whether a secret-key answer is right (201)."""
        try:
            request = VerifyRequest.decode(asked.message.body)
            with self._labour.share(asked.origin.payer):
                is_valid = await self._authenticator.verifies(
                    request.handle,
                    request.index,
                    request.nonce + request.digest,
                    request.answer,
                    str(asked.origin),
                )
        except (WireError, AuthenticationFailed) as error:
            return refused(error.code, str(error))
        return Outcome(code=ResponseCode.SUCCESS, body=VerifyAnswer(is_valid).encode())

    async def known(self, caller: Caller) -> Known:
        """Return who has been proven now, to be kept in mind for later requests."""
        return Known(caller, await self._mark_of(caller), self._world.epoch_seconds())

    async def holds(self, known: Known) -> bool:
        """True while the key is there by which somebody was proven; looked at now and then.

        While the database is away nobody can be sure; but then nothing is written either, and no restricted value read.
        """
        now = self._world.epoch_seconds()
        if not known.is_due(now):
            return True
        try:
            mark = await self._mark_of(known.caller)
        except SourceUnavailable:
            return True
        known.checked_at = now
        return mark == known.key_mark

    async def _mark_of(self, caller: Caller) -> str:
        return await self._authenticator.key_mark(caller.handle, caller.index, self._marker)
