"""Notices: what the top-level node says of prefixes over the queue of its registration channel, carried out once.

A message is stored, then carried out, then its effect is stored; only then it is taken off the queue.  One that comes
again, since its receipt was lost, has its number, its date in the queue and its words, and changes nothing.  After the
top-level node went back to a backup a number may come with another message: another date or other words tell it, and
it is carried out.  A queue that tells no dates leaves one case open: the same words under the same number, meant anew.
"""

import logging

from node.model.prefix import Prefix
from node.model.rule import ModelError
from node.model.stage import PrefixAction, Stage
from node.registry.objects import Actor, ObjectKind, Objects
from node.store.registration import Registrations, StoredNotice
from sync.channels import epp

NO_REASON = "the top-level node gave no reason"

log = logging.getLogger(__name__)

_UNDECIDED = (Stage.APPROVED, Stage.SENT)
_GRANTED = (Stage.GRANTED, Stage.ACTIVE, Stage.STOPPED, Stage.TO_BE_DELETED)


class Notices:
    """Takes one notice after the other; what it does is done by `upstream`."""

    def __init__(self, objects: Objects, store: Registrations, upstream: Actor) -> None:
        self._objects = objects
        self._store = store
        self._upstream = upstream

    async def take(self, queue: epp.Queue, notice: epp.Notice) -> None:
        """Store a notice and carry it out.  Raises StoreUnavailable, StoreError."""
        stored = StoredNotice(
            queue.message_id,
            notice.prefix or "",
            notice.is_passed,
            notice.state,
            notice.audit_message or "",
            queued_at=queue.at,
        )
        effect = await self._store.keep(stored) or await self._carry_out(notice)
        await self._store.note_effect(queue.message_id, effect)
        log.info("the top-level node has decided", extra={"prefix": stored.prefix, "step": effect})

    async def _carry_out(self, notice: epp.Notice) -> str:
        """Return the rule of the step that a verdict led to, or why there was none."""
        held = await self._objects.read(ObjectKind.PREFIX, notice.prefix or "")
        if held is None:
            return "no such prefix here"
        action = action_of(notice, held.of(Prefix).stage)
        if action is None:
            return "nothing to change"
        reason = notice.audit_message or NO_REASON
        try:
            await self._objects.step_prefix(held.id, action, self._upstream, reason=reason)
        except ModelError as error:
            return f"{error.rule}: {error.message}"
        return f"prefix.{action.value}"


def action_of(notice: epp.Notice, stage: Stage) -> PrefixAction | None:
    """Return what a notice asks to be done with a prefix at a stage; None when that was done, or can't be."""
    is_normal = notice.state in (None, epp.NORMAL)
    if stage in _UNDECIDED:
        return PrefixAction.GRANT if notice.is_passed else PrefixAction.REFUSE
    if stage in _GRANTED and not is_normal:
        return PrefixAction.SUSPEND
    if stage is Stage.SUSPENDED and notice.is_passed and is_normal:
        return PrefixAction.LIFT
    return None
