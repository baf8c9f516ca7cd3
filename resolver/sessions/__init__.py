"""Who is talking to us, between two messages: challenges that wait for their answer, and Diffie-Hellman sessions.

Nothing here opens, waits, or reads the clock: messages, times and random bytes come in, values go out.  Laws: what
strangers can make us keep is bounded, in number and bytes, per source and in all, and whoever exceeds loses his own
oldest first; an id says which worker made it, so that every other one can send the message there.
"""

from resolver.sessions.challenges import CHALLENGE_SECONDS, Challenges, Pending
from resolver.sessions.ids import MAX_SLOTS, Ids, slot_of
from resolver.sessions.replays import REPLAY_WINDOW, Replays
from resolver.sessions.session import (
    NO_SESSION,
    RECHECK_SECONDS,
    Known,
    Session,
    SessionError,
    Sessions,
    mac_of,
    spoilt,
    unknown,
)
from resolver.sessions.shelf import Bounds, Shelf

__all__ = [
    "CHALLENGE_SECONDS",
    "MAX_SLOTS",
    "NO_SESSION",
    "RECHECK_SECONDS",
    "REPLAY_WINDOW",
    "Bounds",
    "Challenges",
    "Ids",
    "Known",
    "Pending",
    "Replays",
    "Session",
    "SessionError",
    "Sessions",
    "Shelf",
    "mac_of",
    "slot_of",
    "spoilt",
    "unknown",
]
