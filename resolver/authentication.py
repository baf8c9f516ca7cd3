"""Authenticator: who is asking?  Proves identities with the keys of records and with API tokens; every edge asks here.

Laws: an unknown handle, an unknown index and a wrong key take the same way and the same work (with a decoy of that kind
of key), and secrets are compared in constant time.  Over HTTP, and to other servers, they are told alike; an answer to
a native challenge is told 404 where there is no such key and 403 where it is wrong, as that protocol has it, so
whoever asks natively learns which keys there are.  Wrong tries are limited
for each handle and address (`resolver.tries`), before and after the work, so that tries made at once count too; how
many wait to be checked is bounded (`resolver.labour`), however they came.
Nothing that was right is remembered for longer than `resolver.lately` says: a key that is changed counts from its next
use on.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from hashlib import sha256
from hmac import digest
from typing import Protocol

from resolver.authorization import Name, Proof
from resolver.identifier import IdentifierError
from resolver.keychecks import (
    NOT_VERIFIED,
    PUBLIC_KEY,
    SECRET_KEY,
    Check,
    answers,
    first_right,
    is_password,
    is_public_key,
    proves,
)
from resolver.keys.certificates import read_peer_certificate
from resolver.keys.proof import ProofError
from resolver.labour import Labour, payer_of
from resolver.lately import KEY_BYTES, Held, Lately
from resolver.observe import Event, Tally
from resolver.registrar import OPERATOR, Caller, KeyStore, Scope
from resolver.schemes import parse_handle
from resolver.tries import Tries
from resolver.wire import (
    ChallengeAnswer,
    HandleValue,
    ResponseCode,
    RsaPublicKey,
    encode_public_key,
)

TOKEN_MARK = "idnt_"  # noqa: S105  how every token begins, so that one in a log or a repository is recognised
MAX_TOKEN_CHARACTERS = 128
MAX_KEYS = 8  # of one record that are tried for index 0; checking a signature of SM2 takes 25 ms
VERIFICATION = "verification"  # the means of who asks for another

_MAX_PROOFS = 4  # checked in threads at once: PBKDF2 takes milliseconds
_DECOY_KEY = encode_public_key(RsaPublicKey(65_537, 2**2048 - 2**1984 - 1))

log = logging.getLogger(__name__)


class AuthenticationFailed(Exception):
    """Nothing was proven: the response code, and a sentence that tells no secret.

    `retry_after` seconds, when not 0: too many wrong tries, this one was not even looked at.
    """

    def __init__(self, code: ResponseCode, message: str, *, retry_after: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Token:
    """What a live API token stands for, see `Caller`; `handle` is a canonical key."""

    handle: bytes
    index: int
    scopes: frozenset[Scope] | None = None
    prefixes: tuple[bytes, ...] = ()
    is_operator: bool = False


class TokenStore(Protocol):
    """Where API tokens are looked up, by the SHA-256 of their text."""

    async def find_token(self, digest: bytes) -> Token | None:
        """Return what the token stands for; None when it is unknown, expired or revoked.

        Raises SourceUnavailable.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Claim:
    """Somebody says that he is this: the key at `index` of `handle`, a canonical key."""

    handle: bytes
    index: int
    kind: bytes
    means: str
    origin: str
    missing: ResponseCode = ResponseCode.AUTHENTICATION_FAILED  # told when there is no such key

    @property
    def address(self) -> str:
        return self.origin.rpartition(" ")[2]

    @property
    def payer(self) -> str:
        """Who is charged for the work."""
        return payer_of(self.address, is_datagram=self.origin.startswith("udp "))


class Authenticator:
    """Proves who is asking.  Every method but `verifies` raises AuthenticationFailed; all raise SourceUnavailable.

    What takes a signature or a MAC raises Overworked when too many of them wait already.  `origin` is the transport
    and the address, such as `tcp 192.0.2.7`.
    """

    def __init__(
        self,
        keys: KeyStore,
        tokens: TokenStore,
        tally: Tally,
        clock: Callable[[], float],
        *,
        case_sensitive: bool = False,
        allow_weak: bool = False,
        lately: Lately | None = None,
    ) -> None:
        """`clock` gives seconds and never goes back (`time.monotonic`); `allow_weak` as the setting of that name.

        `lately` must be told of all changes; without it every proof asks the stores.
        """
        self._keys = keys
        self._tokens = tokens
        self._tally = tally
        self._clock = clock
        self._case_sensitive = case_sensitive
        self._allow_weak = allow_weak
        if lately is None:  # an empty one is false
            lately = Lately(os.urandom(KEY_BYTES), max_held=0)
        self._lately = lately
        self._login_tries = Tries()
        self._verification_tries = Tries()  # apart: by UDP anybody can ask in another's name
        self._gate = asyncio.Semaphore(_MAX_PROOFS)
        self._labour = Labour()
        self._decoy_secret = os.urandom(32)

    async def password(self, handle: bytes, index: int, password: bytes, origin: str) -> Caller:
        """Prove by the secret key itself: the bytes of an HS_SECKEY value."""
        mark = self._lately.mark(SECRET_KEY, handle, str(index).encode(), password)
        held = self._lately.find(mark, self._clock())
        key = held.record_key if held else self._canonical(handle)
        claim = _Claim(key, index, SECRET_KEY, "basic", origin)
        if held is not None and held.caller is not None:
            self._refuse_after_many(claim)
            self._tries(claim).right(claim.handle, claim.address)
            return held.caller
        with self._proving(mark, key) as held:
            caller = await self._prove(claim, is_password(password), is_light=True)
            self._lately.keep(held, caller)
        return caller

    async def challenge_answer(
        self, answer: ChallengeAnswer, challenge: bytes, origin: str, *, means: str = "challenge"
    ) -> Caller:
        """Prove by the answer to a native challenge (nonce, then request digest).  A missing key is code 404."""
        if answer.kind not in (SECRET_KEY, PUBLIC_KEY):
            message = "The key must be HS_PUBKEY or HS_SECKEY"
            raise AuthenticationFailed(ResponseCode.INVALID_CREDENTIAL, message)
        key, missing = self._canonical(answer.handle), ResponseCode.INVALID_CREDENTIAL
        claim = _Claim(key, answer.index, answer.kind, means, origin, missing)
        return await self._prove(claim, answers(answer, challenge, allow_weak=self._allow_weak))

    async def named_proof(self, proof: Proof, message: bytes, origin: str) -> Caller:
        """Prove by a signature or MAC over a message, with the algorithm named, as over HTTP."""
        key, name = self._canonical(proof.name.handle), proof.name
        claim = _Claim(key, name.index, proof.kind, "challenge", origin)
        return await self._prove(claim, proves(proof, message, allow_weak=self._allow_weak))

    async def certificate(self, der: bytes, origin: str) -> Caller:
        """Prove by a client certificate whose private key TLS has seen: its public key must be an HS_PUBKEY value."""
        try:
            peer = read_peer_certificate(der)
        except ValueError as error:
            raise AuthenticationFailed(ResponseCode.INVALID_CREDENTIAL, str(error)) from error
        key = self._canonical(peer.handle)
        claim = _Claim(key, peer.index, PUBLIC_KEY, "certificate", origin)
        return await self._prove(claim, is_public_key(peer.key), is_light=True)

    async def token(self, text: str, origin: str) -> Caller:
        """Prove by an API token.

        No right token is ever refused for the wrong ones before it: guessing one is hopeless.
        """
        digest_of_it = token_digest(text)
        mark = self._lately.mark(b"token", digest_of_it)
        held = self._lately.find(mark, self._clock())
        if held is not None and held.caller is not None:
            return held.caller
        with self._proving(mark, b"") as held:
            found = None
            if text.startswith(TOKEN_MARK) and len(text) <= MAX_TOKEN_CHARACTERS:
                found = await self._tokens.find_token(digest_of_it)
            if found is None:
                claim = _Claim(b"token", 0, b"", "token", origin)
                self._refuse_after_many(claim)
                raise self._wrong(claim, "The token is unknown, expired or revoked")
            self._lately.keep(held, caller := _bearer(found))
        return caller

    async def verifies(
        self, handle: bytes, index: int, challenge: bytes, answer: bytes, origin: str = ""
    ) -> bool:
        """Say whether an answer to a challenge was made with a secret key that is held here, for another server."""
        given = ChallengeAnswer(SECRET_KEY, handle, index, answer)
        check = answers(given, challenge, allow_weak=self._allow_weak)
        return await self._verifies(Name(index, handle), check, origin)

    async def verifies_named(self, proof: Proof, message: bytes, origin: str) -> bool:
        """As `verifies`, for a MAC whose algorithm is named, as over HTTP."""
        check = proves(proof, message, allow_weak=self._allow_weak)
        return await self._verifies(proof.name, check, origin)

    async def key_mark(self, handle: bytes, index: int, marker: bytes) -> str:
        """Return a mark of the key at this index of a record (canonical key), empty when there is none.

        It changes when the key does; without the `marker`, a secret, nobody can find out the key from it.
        """
        values = await self._keys.keys(handle) or ()
        found = [value for value in values if value.index == index and _is_key(value)]
        return (
            digest(marker, found[0].type + b"\0" + found[0].data, "sha256").hex() if found else ""
        )

    async def _verifies(self, name: Name, check: Check, origin: str) -> bool:
        key = self._canonical(name.handle)
        claim = _Claim(key, name.index, SECRET_KEY, VERIFICATION, origin)
        try:
            await self._prove(claim, check)
        except AuthenticationFailed as failure:
            if failure.retry_after:
                raise
            return False
        return True

    @contextmanager
    def _proving(self, mark: bytes, key: bytes) -> Iterator[Held]:
        """Prove somebody in the block, which keeps him or fails."""
        held = self._lately.begin(mark, key, self._clock())
        try:
            yield held
        except BaseException:
            self._lately.drop(held)
            raise

    async def _prove(self, claim: _Claim, check: Check, *, is_light: bool = False) -> Caller:
        """Try the keys that the claim names, or a decoy; count what is wrong."""
        self._refuse_after_many(claim)
        with nullcontext() if is_light else self._labour.share(claim.payer):
            values = await self._candidates(claim)
            keys = values or [self._decoy(claim.kind)]
            if is_light:
                found = first_right(keys, check)
            else:
                async with self._gate:
                    found = await asyncio.to_thread(first_right, keys, check)
        self._refuse_after_many(claim)
        if values and isinstance(found, HandleValue):
            self._tries(claim).right(claim.handle, claim.address)
            return Caller(claim.handle, found.index, claim.means)
        if isinstance(found, ProofError) and found.code != ResponseCode.AUTHENTICATION_FAILED:
            raise self._wrong(claim, str(found), found.code)
        code = ResponseCode.AUTHENTICATION_FAILED if values else claim.missing
        raise self._wrong(claim, NOT_VERIFIED, code)

    async def _candidates(self, claim: _Claim) -> Sequence[HandleValue]:
        values = await self._keys.keys(claim.handle) or ()
        named = [
            value
            for value in values
            if value.data and value.type.upper() == claim.kind and claim.index in (0, value.index)
        ]  # an empty secret proves nothing
        return named[:MAX_KEYS]

    def _decoy(self, kind: bytes) -> HandleValue:
        data = self._decoy_secret if kind == SECRET_KEY else _DECOY_KEY
        return HandleValue(index=1, type=kind, data=data)

    def _tries(self, claim: _Claim) -> Tries:
        return self._verification_tries if claim.means == VERIFICATION else self._login_tries

    def _refuse_after_many(self, claim: _Claim) -> None:
        tries, now = self._tries(claim), self._clock()
        seconds = tries.refused_seconds(claim.handle, claim.address, now)
        if seconds:
            self._tally.happened(Event.LOGIN_REFUSED)
            raise AuthenticationFailed(
                ResponseCode.AUTHENTICATION_FAILED,
                f"Too many wrong tries; try again in {seconds} seconds",
                retry_after=seconds,
            )

    def _wrong(
        self,
        claim: _Claim,
        message: str,
        code: ResponseCode = ResponseCode.AUTHENTICATION_FAILED,
    ) -> AuthenticationFailed:
        self._tries(claim).wrong(claim.handle, claim.address, self._clock())
        self._tally.happened(Event.LOGIN_FAILED)
        who = {"handle": claim.handle.decode("utf-8", "replace"), "index": claim.index}
        log.warning("login failed", extra={**who, "means": claim.means, "origin": claim.origin})
        return AuthenticationFailed(code, message)

    def _canonical(self, handle: bytes) -> bytes:
        """Return the canonical key of a name; what is no handle has none, and is unknown like any other."""
        try:
            return parse_handle(handle, case_sensitive=self._case_sensitive).key
        except IdentifierError:
            return handle


def token_digest(text: str) -> bytes:
    """Return what is stored of a token, or of a session's id."""
    return sha256(text.encode("utf-8", "surrogatepass")).digest()


def _bearer(token: Token) -> Caller:
    means = OPERATOR if token.is_operator else "token"
    limits = (token.scopes, token.prefixes, token.is_operator)
    return Caller(token.handle, token.index, means, *limits)


def _is_key(value: HandleValue) -> bool:
    return value.type.upper() in (SECRET_KEY, PUBLIC_KEY)
