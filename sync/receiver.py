"""The receiving side's driver: one message, its plan carried out, its reply."""

from sync.inbox import Inbox, Moved
from sync.message import Message, PeerUnavailable, Reply
from sync.session import ReceivingSession
from sync.step import Adopt, Apply, Compare, Plan, Replace, Retell, Tell

MAX_TRIES = 5  # against others that store at the same time


async def receive(message: Message, inbox: Inbox) -> Reply:
    """Take a message and return the reply.  Raises PeerUnavailable when others are always faster."""
    for _ in range(MAX_TRIES):
        session = ReceivingSession(await inbox.standing(), message)
        try:
            return await carry_out(session, session.plan(), inbox)
        except Moved:
            continue
    raise PeerUnavailable("other messages are stored at the same time; send it again")


async def carry_out(session: ReceivingSession, plan: Plan, inbox: Inbox) -> Reply:
    """Store what a plan says, then return the reply.  Raises Moved."""
    match plan:
        case Tell():
            return session.welcome(await inbox.standing())
        case Adopt():
            await inbox.adopt(plan)
            return session.welcome(plan.then)
        case Compare():
            agreed = await inbox.compare(plan)
            return session.ack(plan, await inbox.rejected_within(plan.span), agreed=agreed)
        case Replace():
            await inbox.replace(plan)
            return session.ack(plan, await inbox.rejected_within(plan.span))
        case Apply():
            await inbox.apply(plan)
            return session.ack(plan, await inbox.rejected_at(plan.places))
        case Retell():
            return session.ack(plan, await inbox.rejected_at(plan.places))
