"""The resolver: ours, delegated, or elsewhere?  Then ask the source, choose the values, hide what may not be shown.

All front ends ask here, so HTTP and the native protocol cannot disagree.  Rules: spec "Resolution rules" (RFC 3651 §3).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from resolver.answer import Answer, Question, Status, Stored
from resolver.identifier import Identifier, IdentifierError, Scheme
from resolver.quickly import quickly
from resolver.schemes import parse, parse_handle
from resolver.schemes.handle import usual_key
from resolver.source import NEWEST, Give, Prefixes, Source, SourceUnavailable, Vault, Whole
from resolver.wire import HandleValue, Permission, SiteData, decode_values, encode_site

_SITE_TYPES = (b"HS_SITE", b"HS_SITE.6")
_REFERRAL_TYPES = (b"HS_SITE.PREFIX", b"HS_SERV.PREFIX")
_WHOLE_NAMES = frozenset({Scheme.HANDLE, Scheme.DOI})
_FIRST_FREE_INDEX = 1

NOT_HERE = "That prefix doesn't live here"
_REREADS = 3

NO_VALUES = bytes(4)
"""What a record's encoded values begin with when there are none: their count."""

BUSY = "The record cannot be read at the moment; try again"


class Own(NamedTuple):
    """What a record here answers for, if there is one: its canonical key, and the prefixes that may be homed for it.

    Of the prefixes only the first where that is homed.
    """

    key: bytes
    scheme: Scheme
    prefixes: tuple[bytes, ...]


class Resolver:
    """Answers questions about identifiers; holds no state of its own."""

    def __init__(
        self,
        source: Source,
        vault: Vault,
        prefixes: Prefixes,
        site: SiteData,
        *,
        case_sensitive: bool = False,
    ) -> None:
        """`site` is this server's own; prefixes that are homed here without an HS_SITE of their own show it."""
        self._source = source
        self._vault = vault
        self._prefixes = prefixes
        self._site = site
        self._site_data = encode_site(site)
        self._case_sensitive = case_sensitive

    def site(self) -> SiteData:
        """Return this server's site record."""
        return self._site

    def identify(self, text: bytes) -> Identifier:
        """Parse by the rule of the Handle protocol and its JSON API: always a handle.  Raises IdentifierError."""
        return parse_handle(text, case_sensitive=self._case_sensitive)

    def detect(self, text: str, scheme: Scheme | None = None) -> Identifier:
        """Parse text of any scheme, or of the one named.  Raises IdentifierError."""
        return parse(text, scheme, case_sensitive=self._case_sensitive)

    async def find(self, name: bytes) -> tuple[Own, Answer] | None:
        """Return what `resolve` answers to a plain question for a handle: FOUND where it is spelled as it is stored,
        NO_SUCH_HANDLE or UNAVAILABLE; None for all else.
        """
        own = self.own(name)
        if own is None:
            return None
        try:
            stored = await self._source.lookup(own.key)
        except SourceUnavailable:
            return own, Answer(Status.UNAVAILABLE, message=BUSY)
        answer = plain_answer(name, stored)
        return None if answer is None else (own, answer)

    def own(self, name: bytes) -> Own | None:
        """Return whose record answers a plain question for a handle; None where more has to be known."""
        usual = None if self._case_sensitive else usual_key(name)
        if usual is not None:
            key, prefix = usual
            if not self._prefixes.is_homed(prefix):
                return None
            return quickly(Own, (key, Scheme.HANDLE, (prefix,)))
        try:
            identifier = self.identify(name)
        except IdentifierError:
            return None
        if not self._is_here(identifier):
            return None
        return Own(identifier.key, identifier.scheme, identifier.prefixes)

    async def gather(self, keys: Sequence[bytes], give: Give) -> None:
        """Look up records, for `plain_answer`.  Raises SourceUnavailable; see `Source`."""
        await self._source.gather(keys, give)

    async def resolve(self, question: Question) -> Answer:
        """Return what this server knows, a referral, or why not; raises nothing for what a caller can ask."""
        try:
            if question.identifier.is_prefix_handle:
                return await self._resolve_prefix(question)
            return await self._resolve_name(question)
        except SourceUnavailable:
            return Answer(Status.UNAVAILABLE, message=BUSY)

    async def _resolve_name(self, question: Question) -> Answer:
        identifier = question.identifier
        for prefix in self._candidates(identifier):
            if self._prefixes.is_homed(prefix):
                return await self._from_record(question)
            if self._prefixes.is_delegated(prefix):
                return await self._refer(prefix, question.authoritative)
        return await self._elsewhere(identifier)

    async def _resolve_prefix(self, question: Question) -> Answer:
        prefix, *ancestors = question.identifier.prefixes
        if self._prefixes.is_homed(prefix):
            answer = await self._from_record(question)
            return self._with_own_site(question, answer)
        if self._prefixes.is_delegated(prefix):
            return await self._from_record(question)
        answer = await self._elsewhere(question.identifier)
        is_below_ours = any(self._prefixes.is_homed(ancestor) for ancestor in ancestors)
        if answer.status is Status.NOT_RESPONSIBLE and is_below_ours:
            return Answer(Status.NO_SUCH_HANDLE)
        return answer

    def _is_here(self, identifier: Identifier) -> bool:
        """True when the identifier's own record is asked for, and nothing else has to be known."""
        if identifier.is_prefix_handle:
            return False
        for prefix in self._candidates(identifier):
            if self._prefixes.is_homed(prefix):
                return True
            if self._prefixes.is_delegated(prefix):
                break
        return False

    @staticmethod
    def _candidates(identifier: Identifier) -> tuple[bytes, ...]:
        """A handle belongs to its whole prefix; other identifiers to the nearest namespace that is known."""
        whole = identifier.scheme in _WHOLE_NAMES
        return identifier.prefixes[:1] if whole else identifier.prefixes

    async def _from_record(self, question: Question) -> Answer:
        stored = await self._lookup(question.identifier.key, question.authoritative)
        if stored.handle is None:
            return Answer(Status.NO_SUCH_HANDLE, stored.tier, stored)
        if stored.restricted and not question.public_only:
            return await self._from_vault(question, stored)
        if not question.types and not question.indexes:
            return Answer(_found_if(stored.wire[:4] != NO_VALUES), stored.tier, stored)
        values = select(decode_values(stored.wire), question)
        return Answer(_found_if(bool(values)), stored.tier, stored, values)

    async def _from_vault(self, question: Question, stored: Stored) -> Answer:
        """A question that did not ask for public values only: it is refused when a restricted one matches."""
        whole, stored = await self._open_vault(question, stored)
        if whole.values is None:
            return Answer(Status.NO_SUCH_HANDLE, stored.tier, stored)
        values = select(whole.values, question)
        hidden = [value for value in values if not value.is_public]
        if not hidden:
            return Answer(_found_if(bool(values)), stored.tier, stored, values)
        readable = all(value.permissions & Permission.ADMIN_READ for value in hidden)
        status = Status.AUTHENTICATION_NEEDED if readable else Status.NOT_PERMITTED
        return Answer(status, stored.tier)

    async def _open_vault(self, question: Question, stored: Stored) -> tuple[Whole, Stored]:
        """Read the whole record, and the source again when that is newer, so that nothing older is given afterwards.

        Both are of the same version, so that nothing newer has been given in the meantime either.
        """
        key = question.identifier.key
        for _ in range(_REREADS):
            whole = await self._vault.values(key)
            if whole.serial > stored.serial:
                stored = await self._source.lookup(key, at_least=whole.serial)
            if whole.serial == stored.serial or _is_same(whole, stored):
                return whole, stored
        raise SourceUnavailable("the record changes faster than it can be read")

    def _with_own_site(self, question: Question, answer: Answer) -> Answer:
        """A homed prefix leads to this server even when its record does not say so (spec: clients ask for HS_SITE)."""
        stored = answer.stored
        if stored is None or stored.handle is None:  # refused, or there is none
            return answer
        values = decode_values(stored.wire)
        if any(value.type.upper() in _SITE_TYPES for value in values):
            return answer
        taken = {value.index for value in values}
        free = next(index for index in range(_FIRST_FREE_INDEX, 2**31) if index not in taken)
        own = HandleValue(free, b"HS_SITE", self._site_data)
        chosen = (*values, own) if answer.values is None else (*answer.values, own)
        chosen = select(chosen, question)
        return replace(answer, status=_found_if(bool(chosen)), values=chosen)

    async def _refer(self, prefix: bytes, authoritative: bool) -> Answer:
        """An enterprise node serves this prefix: say where (service referral, 302)."""
        stored = await self._lookup(b"0.NA/" + prefix, authoritative)
        values = decode_values(stored.wire) if stored.handle else ()
        sites = tuple(value for value in values if value.type.upper() in _SITE_TYPES)
        handle = stored.handle or b"0.NA/" + prefix
        return Answer(Status.SERVICE_REFERRAL, stored.tier, stored, sites, handle)

    async def _elsewhere(self, identifier: Identifier) -> Answer:
        """Not ours: a prefix referral (303) only below a prefix that says where its derived prefixes are."""
        for ancestor in identifier.prefixes[1:]:
            if self._prefixes.is_homed(ancestor):
                stored = await self._lookup(b"0.NA/" + ancestor, authoritative=False)
                values = decode_values(stored.wire) if stored.handle else ()
                sites = tuple(value for value in values if value.type.upper() in _REFERRAL_TYPES)
                if sites:
                    return Answer(Status.PREFIX_REFERRAL, stored.tier, stored, sites)
        return Answer(Status.NOT_RESPONSIBLE, message=NOT_HERE)

    async def _lookup(self, key: bytes, authoritative: bool) -> Stored:
        return await self._source.lookup(key, at_least=NEWEST if authoritative else 0)


def plain_answer(name: bytes, stored: Stored) -> Answer | None:
    """Return the answer to a plain question for what `Resolver.own` takes; None where more has to be looked at."""
    if stored.handle is None:
        return Answer(Status.NO_SUCH_HANDLE, stored.tier, stored)
    if stored.handle != name or stored.wire[:4] == NO_VALUES:
        return None
    return Answer(Status.FOUND, stored.tier, stored)


def _found_if(found: bool) -> Status:
    return Status.FOUND if found else Status.NO_SUCH_VALUE


def _is_same(whole: Whole, stored: Stored) -> bool:
    """True when both show the same public values, or both that there is no such record."""
    if whole.values is None or stored.handle is None:
        return whole.values is None and stored.handle is None
    public = tuple(value for value in whole.values if value.is_public)
    return public == decode_values(stored.wire)


def select(values: tuple[HandleValue, ...], question: Question) -> tuple[HandleValue, ...]:
    """Return the values that the question asks for: the union of its types and indexes, all when it names none."""
    if not question.types and not question.indexes:
        return values
    types = tuple(wanted.upper() for wanted in question.types)
    return tuple(
        value
        for value in values
        if value.index in question.indexes or _has_type(value.type.upper(), types)
    )


def _has_type(value_type: bytes, wanted: tuple[bytes, ...]) -> bool:
    """`URL.` asks for URL and all below it (URL.MIRROR); `URL` for exactly that."""
    return any(
        value_type == name
        or (name.endswith(b".") and (value_type == name[:-1] or value_type.startswith(name)))
        for name in wanted
    )
