"""Native administration: opcodes 100 to 105 and 300 to 302 as writes and lists of the registrar (RFC 3652 §3.2 to 3.4).

Bodies in, bodies out; who may, and in which order things are checked, is the registrar's alone.  A request that nobody
has proven comes back as AUTHENTICATION_NEEDED, and what becomes of that is decided elsewhere.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from types import MappingProxyType

from resolver.exchange import SUCCEEDED, Asked, Outcome, refused
from resolver.identifier import PREFIX_HANDLE, Identifier, IdentifierError
from resolver.registrar import Listing, Operation, Registrar, Verdict, Write
from resolver.service import BUSY
from resolver.source import SourceUnavailable
from resolver.wire import (
    CreateAnswer,
    Flag,
    HandleValue,
    IndexesRequest,
    Message,
    NameRequest,
    NamesAnswer,
    Opcode,
    ResponseCode,
    ValuesRequest,
    WireError,
    decode_request,
)

NAMES_PER_MESSAGE = 50  # as the reference; clients take any number

_OPERATIONS = MappingProxyType(
    {
        Opcode.CREATE_HANDLE: Operation.CREATE,
        Opcode.DELETE_HANDLE: Operation.DELETE,
        Opcode.ADD_VALUE: Operation.ADD,
        Opcode.REMOVE_VALUE: Operation.REMOVE,
        Opcode.MODIFY_VALUE: Operation.MODIFY,
        Opcode.HOME_PREFIX: Operation.HOME,
        Opcode.UNHOME_PREFIX: Operation.UNHOME,
    }
)
_NOT_KNOWN = (
    "The database is away, and nobody knows whether this was done; look before you try again"
)
_LISTS = frozenset({Opcode.LIST_HANDLES, Opcode.LIST_HOMED_PREFIXES})

OPCODES = frozenset(_OPERATIONS) | _LISTS
"""What this module carries out."""

_Page = Callable[[bytes], Awaitable[Listing]]
"""Where to start after -> the names from there."""


class Administration:
    """Carries out what is asked of the registrar in native messages."""

    def __init__(self, registrar: Registrar, identify: Callable[[bytes], Identifier]) -> None:
        """`identify` reads a handle; it raises IdentifierError."""
        self._registrar = registrar
        self._identify = identify

    async def carry_out(self, asked: Asked) -> Outcome:
        """Return what became of a request whose opcode is one of OPCODES."""
        try:
            if asked.opcode in _LISTS:
                return await self._list(asked)
            return await self._write(asked, _OPERATIONS[Opcode(asked.opcode)])
        except WireError as error:
            return refused(error.code, str(error))
        except IdentifierError as error:
            return refused(ResponseCode.INVALID_HANDLE, str(error))
        except SourceUnavailable:
            text = BUSY if asked.opcode in _LISTS else _NOT_KNOWN
            return refused(ResponseCode.SERVER_BUSY, text)

    async def _write(self, asked: Asked, operation: Operation) -> Outcome:
        handle, values, indexes = _terms(asked.message)
        mint = operation is Operation.CREATE and asked.has(Flag.MINT_SUFFIX)
        write = Write(
            operation=operation,
            identifier=self._start(handle) if mint else self._identify(handle),
            values=values,
            indexes=indexes,
            overwrite=asked.has(Flag.OVERWRITE),
            mint=mint,
            caller=asked.caller,
            origin=str(asked.origin),
        )
        verdict = await self._registrar.write(write)
        if verdict.code is not ResponseCode.SUCCESS:
            return refused(verdict.code, verdict.message)
        return _success(write, verdict, handle)

    def _start(self, text: bytes) -> Identifier:
        """Return what a minted suffix is appended to: `88.1/`, which is no handle yet, stands for its prefix."""
        is_prefix = text.endswith(b"/") and text.count(b"/") == 1
        return self._identify(text[:-1] if is_prefix else text)

    async def _list(self, asked: Asked) -> Outcome:
        handle, _, _ = _terms(asked.message)
        is_of_prefixes = asked.opcode == Opcode.LIST_HOMED_PREFIXES
        page = self._prefixes(asked) if is_of_prefixes else self._handles_of(asked, handle)
        listing = await page(b"")
        if listing.code is not ResponseCode.SUCCESS:
            return refused(listing.code, listing.message)
        first = _names(listing, asked.opcode)
        pages = _rest(page, listing.last, asked.opcode) if listing.last else None
        return replace(first, pages=pages)

    def _handles_of(self, asked: Asked, handle: bytes) -> _Page:
        prefix = self._identify(handle)

        def page(after: bytes) -> Awaitable[Listing]:
            return self._registrar.list_handles(
                prefix, asked.caller, after=after, limit=NAMES_PER_MESSAGE
            )

        return page

    def _prefixes(self, asked: Asked) -> _Page:
        def page(after: bytes) -> Awaitable[Listing]:
            return self._registrar.list_prefixes(asked.caller, after=after, limit=NAMES_PER_MESSAGE)

        return page


def _terms(message: Message) -> tuple[bytes, tuple[HandleValue, ...], tuple[int, ...]]:
    """Return the handle, the values and the indexes that a request names.  Raises WireError."""
    match decode_request(message):
        case ValuesRequest(handle, values):
            return handle, values, ()
        case IndexesRequest(handle, indexes):
            return handle, (), indexes
        case NameRequest(handle):
            return handle, (), ()
        case _:
            raise WireError("this operation takes no such body")


def _success(write: Write, verdict: Verdict, asked: bytes) -> Outcome:
    """A created handle is named: as it was asked for, or as it was minted."""
    if write.operation is not Operation.CREATE:
        return SUCCEEDED
    name = verdict.handle if write.mint else asked
    return Outcome(code=ResponseCode.SUCCESS, body=CreateAnswer(name).encode())


async def _rest(page: _Page, after: bytes, opcode: int) -> AsyncIterator[Outcome]:
    """Read on, a message at a time; what fails on the way is the last message, so that no list looks whole."""
    while after:
        try:
            listing = await page(after)
        except SourceUnavailable:
            yield refused(ResponseCode.SERVER_BUSY, BUSY)
            return
        if listing.code is not ResponseCode.SUCCESS:
            yield refused(listing.code, listing.message)
            return
        yield _names(listing, opcode)
        after = listing.last


def _names(listing: Listing, opcode: int) -> Outcome:
    names = listing.names
    if opcode == Opcode.LIST_HOMED_PREFIXES:  # a prefix is named by its handle
        names = tuple([PREFIX_HANDLE + name for name in names])
    body = NamesAnswer(names).encode()
    return Outcome(code=ResponseCode.SUCCESS, body=body, is_continued=bool(listing.last))
