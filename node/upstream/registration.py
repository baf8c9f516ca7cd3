"""Registration: enterprises and prefixes told to the top-level node over EPP, and its verdicts brought home.

Laws.  Whatever is told is stored first, and what is decided is stored before it is taken off the top-level node's
queue; so each step may be repeated after a crash.  A command is repeated under the same clTRID.  A verdict that was
carried out already is recognised by its message, or by where the prefix stands, and changes nothing.  An answer that
cannot be read holds up nothing but what it answers.  What the top-level node says in words is never logged: it may
name people.
"""

import asyncio
import logging
from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple, Protocol

from node.model.enterprise import Enterprise
from node.model.prefix import Prefix
from node.model.role import Role
from node.model.rule import ModelError
from node.model.stage import PrefixAction, Stage
from node.registry.objects import Actor, Held, ObjectKind, Objects
from node.store.database import StoreError, StoreUnavailable
from node.store.files import Files
from node.store.registration import (
    AGAIN_SECONDS,
    Due,
    Registrations,
    Told,
)
from node.upstream.notices import NO_REASON, Notices
from node.upstream.papers import (
    CERTIFICATE_TYPES,
    Fingerprint,
    change_of,
    fingerprint,
    in_words,
    photos_of,
)
from resolver.keys.seal import SealError
from sync.channels import epp
from sync.message import PeerUnavailable

ROUND_SECONDS = 2.0  # between two looks at the queue
UNREADABLE_SECONDS = 10.0  # after which what was answered with garbage is asked again
AT_ONCE = 50  # enterprises, or prefixes, of one round
MAX_NOTICES = 200  # of one round
FAILED_CODE = epp.ResultCode.COMMAND_FAILED.value
LACKING_CODE = epp.ResultCode.REQUIRED_PARAMETER_MISSING.value  # we did not even ask

log = logging.getLogger(__name__)


class Channel(Protocol):
    """The way to the top-level node and back."""

    async def epp(self, command: bytes) -> bytes:
        """Send a command and return the answer.  Raises PeerUnavailable."""


class _Refused(Exception):
    """The top-level node does not do what it was asked."""

    def __init__(self, code: int, reason: str, again_seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.told = Told(code=code, reason=reason, again_seconds=again_seconds)


class _Unreadable(PeerUnavailable):
    """The top-level node answers what nobody can read; `words` may quote it."""

    def __init__(self, what: str, words: str = "") -> None:
        super().__init__(what)
        self.words = words


class _Trouble(NamedTuple):
    """What waits, for the log; and what was said of it, for operators alone."""

    what: str
    words: str = ""

    def __str__(self) -> str:
        return f"{self.what} {self.words}".rstrip()


class RegistrationStanding(NamedTuple):
    """How many commands and notices there were since the start, and what is wrong, if anything is."""

    commands: int
    notices: int
    trouble: str


class Registration:
    """One round after the other, by whoever calls `round`."""

    def __init__(
        self,
        node_prefix: str,
        objects: Objects,
        files: Files,
        store: Registrations,
        *,
        key: bytes,
        unique: Callable[[], str],
    ) -> None:
        """`key` is for digests of what was told; `unique` names commands as none was named before."""
        self._node_prefix = node_prefix
        self._objects = objects
        self._files = files
        self._store = store
        self._channel: Channel | None = None
        self._key = key
        self._unique = unique
        self._upstream = Actor(frozenset({Role.TOP_LEVEL}), "top-level node", "epp", "epp")
        self._heeded = Notices(objects, store, self._upstream)
        self._system = Actor(frozenset({Role.SYSTEM}), "node", "epp", "epp")
        self._commands = self._notices = 0
        self._troubles: list[_Trouble] = []
        self._said: tuple[_Trouble, ...] = ()
        self._told_upto = ""  # the prefix up to which all were looked at in this turn

    def standing(self) -> RegistrationStanding:
        """Return how it goes."""
        trouble = "; ".join(str(each) for each in self._said)
        return RegistrationStanding(self._commands, self._notices, trouble)

    async def keep(self, channel: Channel) -> None:
        """Go round after round until cancelled; what fails is told once, and tried again."""
        while True:
            try:
                await self.round(channel)
            except (PeerUnavailable, StoreUnavailable, StoreError, SealError) as error:
                self._say(_Trouble(str(error)))
            await asyncio.sleep(ROUND_SECONDS)

    async def round(self, channel: Channel) -> None:
        """Take what was decided, then tell what is new.  Raises PeerUnavailable, StoreUnavailable, StoreError."""
        self._channel = channel
        self._troubles = []
        try:
            await self._take_notices()
        except _Unreadable as error:
            self._troubles.append(_Trouble(f"the queue: {error}", error.words))
        for due in await self._store.due(AT_ONCE):
            await self._store.note(due, await self._tell_enterprise(due))
        await self._tell_prefixes()
        self._say(*self._troubles)

    def _say(self, *troubles: _Trouble) -> None:
        if troubles and troubles != self._said:
            reason = "; ".join(each.what for each in troubles)
            log.warning("the registration channel waits", extra={"reason": reason})
        self._said = troubles

    async def _take_notices(self) -> None:
        for _ in range(MAX_NOTICES):
            answer = await self._ask(epp.PollRequest(), self._unique())
            notice, queue = answer.data, answer.queue
            if answer.outcome is epp.Outcome.NOTHING:
                return
            if not isinstance(notice, epp.Notice) or queue is None:
                raise _Unreadable(f"poll was answered with {answer.code.value}")
            await self._heeded.take(queue, notice)
            await self._ask(epp.PollAcknowledge(queue.message_id), self._unique())
            self._notices += 1

    async def _tell_enterprise(self, due: Due) -> Told:
        held = await self._objects.read(ObjectKind.ENTERPRISE, due.enterprise)
        if held is None or held.of(Enterprise).approved is None:
            return Told()
        try:
            told = await self._put_enterprise(due, held.of(Enterprise))
        except ModelError as error:
            return Told(code=LACKING_CODE, reason=str(error))
        except _Refused as error:
            what = f"enterprise {due.enterprise}: {error.told.code}"
            self._troubles.append(_Trouble(what, error.told.reason))
            return error.told
        except _Unreadable as error:
            self._troubles.append(_Trouble(f"enterprise {due.enterprise}: {error}", error.words))
            reason = f"{error} {error.words}".rstrip()
            return Told(code=FAILED_CODE, reason=reason, again_seconds=UNREADABLE_SECONDS)
        return Told(*told)

    async def _put_enterprise(self, due: Due, enterprise: Enterprise) -> Fingerprint:
        """Tell the newest approved form, if it was not told yet.  Raises ModelError, _Refused."""
        form = enterprise.approved or enterprise.form
        whole = in_words(form, await self._files.read(*filter(None, photos_of(form))))
        told = fingerprint(whole, self._key)
        if told == (due.papers, due.details):
            return told
        client_id = f"ent-{due.enterprise}-{due.version}"
        known = enterprise.upstream_id or await self._number_of(enterprise, client_id)
        if not known:
            await self._create_enterprise(enterprise, whole, client_id)
            return told
        if told.papers == due.papers:
            change = epp.ChangeEnterprise(self._node_prefix, known, change_of(whole))
            await self._do(change, client_id)
        else:
            await self._do(epp.ReplaceEnterprise(self._node_prefix, known, whole), client_id)
        return told

    async def _number_of(self, enterprise: Enterprise, client_id: str) -> str:
        """Return the number that the top-level node knows it by, and note it here; empty when it does not."""
        organisation = (enterprise.approved or enterprise.form).organisation
        command = epp.CheckEnterprise(
            self._node_prefix,
            CERTIFICATE_TYPES[organisation.certificate_type],
            organisation.certificate_number,
        )
        answer = await self._do(command, f"{client_id}-check")
        known = answer.data.ent_id if isinstance(answer.data, epp.Known) else None
        if known:
            await self._objects.note_upstream(enterprise.id, known, self._system)
        return known or ""

    async def _create_enterprise(
        self, enterprise: Enterprise, whole: epp.Enterprise, client_id: str
    ) -> None:
        answer = await self._do(epp.CreateEnterprise(self._node_prefix, whole), client_id)
        if not isinstance(answer.data, epp.Created):
            raise _Unreadable("an enterprise was created, and its number is not told")
        await self._objects.note_upstream(enterprise.id, answer.data.ent_id, self._system)

    async def _tell_prefixes(self) -> None:
        """Tell the next of those that are to be told, in turn: one that has to wait holds up no other."""
        found = await self._objects.list(
            ObjectKind.PREFIX, state=Stage.APPROVED, after=self._told_upto, limit=AT_ONCE
        )
        for held in found:
            try:
                await self._tell_prefix(held)
            except _Unreadable as error:
                self._troubles.append(_Trouble(f"prefix {held.id}: {error}", error.words))
        self._told_upto = found[-1].id if len(found) == AT_ONCE else ""

    async def _tell_prefix(self, held: Held) -> None:
        owner = await self._objects.read(ObjectKind.ENTERPRISE, held.enterprise)
        number = owner.of(Enterprise).upstream_id if owner else ""
        if not number:
            return  # the enterprise comes first
        command = epp.CreatePrefix(self._node_prefix, number, held.of(Prefix).prefix)
        name = f"prefix-{sha256(held.id.encode()).hexdigest()[:16]}-{held.version}"
        answer = await self._ask(command, name)
        try:
            await self._heed(held, answer)
        except ModelError as error:  # somebody else has taken a step meanwhile
            log.info("a prefix was left as it is", extra={"prefix": held.id, "reason": str(error)})

    async def _heed(self, held: Held, answer: epp.Answer) -> None:
        """Take the step that an answer to `create` asks for.  Raises ModelError."""
        step, outcome = self._objects.step_prefix, answer.outcome
        is_known = answer.code is epp.ResultCode.OBJECT_EXISTS  # from an earlier try: it decides
        if outcome is epp.Outcome.DONE:
            await step(held.id, PrefixAction.GRANT, self._upstream)
        elif outcome is epp.Outcome.WAITING or is_known:
            await step(held.id, PrefixAction.SEND, self._system)
        elif outcome is epp.Outcome.REFUSED:
            reason = answer.reason or answer.message or NO_REASON
            await step(held.id, PrefixAction.REFUSE, self._upstream, reason=reason)
        else:
            what = f"prefix {held.id}: {answer.code.value}"
            self._troubles.append(_Trouble(what, answer.message))

    async def _do(self, command: epp.Command, client_id: str) -> epp.Answer:
        """Return the answer to a command that was carried out.  Raises _Refused, PeerUnavailable."""
        answer = await self._ask(command, client_id)
        if answer.outcome is epp.Outcome.DONE:
            return answer
        reason = answer.reason or answer.message
        if answer.outcome is epp.Outcome.REFUSED:
            raise _Refused(answer.code.value, reason)
        raise _Refused(answer.code.value, reason, AGAIN_SECONDS)

    async def _ask(self, command: epp.Command, client_id: str) -> epp.Answer:
        """Return the answer to a command.  Raises PeerUnavailable, also for garbage."""
        assert self._channel is not None  # noqa: S101  only `round` gets here
        self._commands += 1
        data = epp.encode_command(epp.Request(command, client_id))
        try:
            return epp.decode_answer(await self._channel.epp(data), client_id)
        except epp.EppError as error:
            what = f"the answer cannot be read ({error.code.value})"
            raise _Unreadable(what, str(error)) from error
