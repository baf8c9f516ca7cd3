"""API tokens: made, listed and revoked; and the one token with which the node's own machine commands the node.

A token is `idnt_` and 32 random bytes in base64url.  It is shown once, when it is made; the database has its SHA-256.
It acts for its owner, a key named as `300:88.1/ADMIN`, within its scopes and prefixes.
"""

import logging
import os
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from node.errors import Kind, RegistryError
from node.store.database import Database
from node.store.tokens import (
    TokenRow,
    insert_token,
    list_tokens,
    revoke_tokens,
    show_token,
    token_id,
)
from resolver.authentication import TOKEN_MARK, Token, token_digest
from resolver.authorization import CredentialError, read_name
from resolver.identifier import PREFIX_HANDLE, IdentifierError
from resolver.registrar import Caller, Scope
from resolver.schemes import parse_handle

OPERATOR_TOKEN_FILE = "operator-token"  # noqa: S105  a file's name
USUAL_DAYS = 365
MAX_DAYS = 3_650
MAX_NAME_CHARACTERS = 100
MAX_PREFIXES = 100

_TOKEN_BYTES = 32
_TOKEN = re.compile(TOKEN_MARK + r"[A-Za-z0-9_-]{43}")
_FILE_MODE = 0o600

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenOrder:
    """What token is wanted: a name for people, whose, for what, and for how many days (0: until it is revoked).

    `scopes` None lifts the limit to scopes, no `prefixes` that to prefixes.  A token of the operator has no owner.
    """

    name: str
    owner: str = ""
    scopes: frozenset[Scope] | None = None
    prefixes: tuple[str, ...] = ()
    days: int = USUAL_DAYS
    is_operator: bool = False


class MadeToken(NamedTuple):
    """A new token: its text, which nobody can be told again, and how it is listed."""

    text: str
    row: TokenRow


class Tokens:
    """The use cases, over the database of the node."""

    def __init__(self, database: Database, *, case_sensitive: bool = False) -> None:
        self._database = database
        self._case_sensitive = case_sensitive

    async def make(self, order: TokenOrder, by: Caller | None = None) -> MadeToken:
        """Make a token.  `by` whom: nobody makes one that may do more than himself; None: the operator.

        Raises RegistryError (INVALID, FORBIDDEN), StoreUnavailable.
        """
        token = self._read(order)
        _expect_within(token, by)
        now = datetime.now(UTC)
        expires = now + timedelta(days=order.days) if order.days else None
        text = TOKEN_MARK + secrets.token_urlsafe(_TOKEN_BYTES)
        digest = token_digest(text)
        async with self._database.transaction() as connection:
            await insert_token(connection, digest, order.name, token, expires)
        row = TokenRow(token_id(digest), order.name, token, now, expires, None)
        log.info("token made", extra={"token": row.id, "title": order.name, "owner": order.owner})
        return MadeToken(text, row)

    async def list(self) -> tuple[TokenRow, ...]:
        """Return all tokens, revoked ones too, the oldest first.  Raises StoreUnavailable."""
        return await list_tokens(self._database)

    async def revoke(self, name: str) -> tuple[TokenRow, ...]:
        """Revoke the tokens with this id or name.  Raises RegistryError (NOT_FOUND), StoreUnavailable."""
        revoked: tuple[TokenRow, ...] = ()
        if name.isprintable():  # nothing else is a name, and not all of it is text to Postgres
            async with self._database.transaction() as connection:
                revoked = await revoke_tokens(connection, name)
        if not revoked:
            raise RegistryError(
                Kind.NOT_FOUND,
                f"No token that still counts has the id or name {name!r}; `idnode token list` shows all.",
            )
        for row in revoked:
            log.info("token revoked", extra={"token": row.id, "title": row.name})
        return revoked

    def _read(self, order: TokenOrder) -> Token:
        if not order.name.isprintable() or not 0 < len(order.name) <= MAX_NAME_CHARACTERS:
            sentence = f"The name of a token has 1 to {MAX_NAME_CHARACTERS} printable characters."
            raise RegistryError(Kind.INVALID, sentence)
        if not 0 <= order.days <= MAX_DAYS:
            sentence = f"A token lives 1 to {MAX_DAYS} days; 0: until it is revoked."
            raise RegistryError(Kind.INVALID, sentence)
        if order.is_operator:
            return _operator_token(order)
        if len(order.prefixes) > MAX_PREFIXES:
            sentence = f"A token is limited to {MAX_PREFIXES} prefixes at most."
            raise RegistryError(Kind.INVALID, sentence)
        handle, index = self._owner(order.owner)
        return Token(handle, index, order.scopes, tuple(map(_prefix, order.prefixes)))

    def _owner(self, text: str) -> tuple[bytes, int]:
        try:
            name = read_name(text.encode())
            key = parse_handle(name.handle, case_sensitive=self._case_sensitive).key
        except (CredentialError, IdentifierError, UnicodeEncodeError) as error:
            raise _bad_owner(text) from error
        if not name.index:
            raise _bad_owner(text)
        return key, name.index


async def ensure_operator_token(database: Database, path: Path, name: str) -> None:
    """See that the file holds a token with which its reader may do everything, and that the database knows it.

    The file is readable by its owner alone.  A token that was revoked stays revoked: remove the file, start again, and
    another is made.  A lost file's token is revoked by its `name`.  Raises StoreUnavailable, StoreError, OSError.
    """
    text = _read_operator_token(path)
    if text is None:
        text = TOKEN_MARK + secrets.token_urlsafe(_TOKEN_BYTES)
        _write_operator_token(path, text)  # first: a token that only the database has is of no use
    digest = token_digest(text)
    async with database.transaction() as connection:
        known = await show_token(connection, digest)
        if known is None:
            await revoke_tokens(connection, name)
            await insert_token(connection, digest, name, _OPERATOR, None)
    if known is not None and known.revoked_at is not None:
        log.warning("operator token is revoked", extra={"path": str(path)})


_OPERATOR = Token(b"", 0, is_operator=True)


def _operator_token(order: TokenOrder) -> Token:
    if order.owner or order.scopes is not None or order.prefixes:
        sentence = (
            "A token of the operator may do everything: leave out owner, scopes and prefixes."
        )
        raise RegistryError(Kind.INVALID, sentence)
    return _OPERATOR


def _expect_within(token: Token, by: Caller | None) -> None:
    """Raises RegistryError when the token may do more than who makes it."""
    if by is None or by.is_operator:
        return
    scopes = by.scopes is None or (token.scopes is not None and token.scopes <= by.scopes)
    prefixes = not by.prefixes or (token.prefixes and set(token.prefixes) <= set(by.prefixes))
    if token.is_operator or not scopes or not prefixes:
        sentence = "Nobody can make a token that may do more than himself."
        raise RegistryError(Kind.FORBIDDEN, sentence)


def read_scopes(words: Iterable[str]) -> frozenset[Scope]:
    """Return scopes by their words.  Raises RegistryError."""
    try:
        return frozenset(Scope(word) for word in words)
    except ValueError as error:
        sentence = f"{error}; there are the scopes {', '.join(Scope)}."
        raise RegistryError(Kind.INVALID, sentence) from error


def _prefix(name: str) -> bytes:
    try:
        whole = (
            name if name[: len(PREFIX_HANDLE)].upper().encode() == PREFIX_HANDLE else f"0.NA/{name}"
        )
        return parse_handle(whole.encode()).prefixes[0]
    except (IdentifierError, UnicodeEncodeError) as error:
        sentence = f"{name!r} is no prefix: {error}."
        raise RegistryError(Kind.INVALID, sentence) from error


def _bad_owner(text: str) -> RegistryError:
    sentence = f"The owner of a token is a key, such as 300:88.118/ADMIN, not {text!r}."
    return RegistryError(Kind.INVALID, sentence)


def _read_operator_token(path: Path) -> str | None:
    try:
        text = path.read_text("ascii").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    path.chmod(_FILE_MODE)
    return text if _TOKEN.fullmatch(text) else None


def _write_operator_token(path: Path, text: str) -> None:
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    with os.fdopen(os.open(draft, flags, _FILE_MODE), "w", encoding="ascii") as file:
        file.write(f"{text}\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
