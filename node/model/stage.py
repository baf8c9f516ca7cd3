"""Stages of a prefix (前缀阶段), the public number that each shows, and the table of its life.

What the stages mean for resolution, and which part of this is public, `prefix` says.
"""

from enum import IntEnum, StrEnum
from typing import Final

from node.model.life import Law, Life, Need
from node.model.role import APPLICANTS, OPERATORS, REVIEWERS, SYSTEM, TOP_LEVEL


class Status(IntEnum):
    """The state of a prefix as the public interface of a secondary node numbers it (前缀状态)."""

    STOPPED = 0  # 停用
    ACTIVE = 1  # 启用
    TO_BE_DELETED = 2  # 待删除
    REJECTED = 3  # 审核不通过
    WAITING = 4  # 待审核
    IN_REVIEW = 5  # 审核中


class Stage(StrEnum):
    """Where a prefix stands."""

    WAITING = "waiting"  # for a reviewer here
    IN_REVIEW = "in_review"  # a reviewer here has taken it
    REJECTED = "rejected"  # by the reviewer here
    APPROVED = "approved"  # here; it is still to be sent to the top-level node
    SENT = "sent"  # the top-level node has it, and has not decided
    REFUSED = "refused"  # by the top-level node
    GRANTED = "granted"  # by the top-level node; nobody answers for it yet
    ACTIVE = "active"
    STOPPED = "stopped"  # by the operator
    SUSPENDED = "suspended"  # by the top-level node, which alone can lift that
    TO_BE_DELETED = "to_be_deleted"
    REMOVED = "removed"  # for ever


STATUS_OF = {
    Stage.WAITING: Status.WAITING,
    Stage.IN_REVIEW: Status.IN_REVIEW,
    Stage.REJECTED: Status.REJECTED,
    Stage.APPROVED: Status.IN_REVIEW,
    Stage.SENT: Status.IN_REVIEW,
    Stage.REFUSED: Status.REJECTED,
    Stage.GRANTED: Status.STOPPED,
    Stage.ACTIVE: Status.ACTIVE,
    Stage.STOPPED: Status.STOPPED,
    Stage.SUSPENDED: Status.STOPPED,
    Stage.TO_BE_DELETED: Status.TO_BE_DELETED,
    Stage.REMOVED: Status.TO_BE_DELETED,
}


class PrefixAction(StrEnum):
    """What can be done with a prefix."""

    APPLY = "apply"
    CORRECT = "correct"
    WITHDRAW = "withdraw"
    BEGIN_REVIEW = "begin_review"
    RETURN = "return"
    APPROVE = "approve"
    REJECT = "reject"
    SEND = "send"
    GRANT = "grant"
    REFUSE = "refuse"
    CONFIGURE = "configure"
    ACTIVATE = "activate"
    STOP = "stop"
    SUSPEND = "suspend"
    LIFT = "lift"
    MARK_FOR_DELETION = "mark_for_deletion"
    RESTORE = "restore"
    REMOVE = "remove"


_S, _A = Stage, PrefixAction
_REASON = frozenset({Need.REASON})
_ADMITTED = frozenset({Need.ADMITTED_ENTERPRISE})

PREFIX_LIFE: Final = Life(
    "prefix",
    Stage,
    (
        Law(
            _A.APPLY,
            "a prefix is applied for once, by an approved enterprise",
            {None: _S.WAITING},
            APPLICANTS,
            _ADMITTED,
        ),
        Law(
            _A.CORRECT,
            "an application is corrected after it was rejected or refused",
            {_S.REJECTED: _S.WAITING, _S.REFUSED: _S.WAITING},
            APPLICANTS,
            _ADMITTED,
        ),
        Law(
            _A.WITHDRAW,
            "an application is withdrawn while it is not under review",
            dict.fromkeys((_S.WAITING, _S.REJECTED, _S.REFUSED), _S.REMOVED),
            APPLICANTS,
        ),
        Law(
            _A.BEGIN_REVIEW,
            "a review begins with an application that waits",
            {_S.WAITING: _S.IN_REVIEW},
            REVIEWERS,
        ),
        Law(
            _A.RETURN,
            "a review that has begun can be given back undecided",
            {_S.IN_REVIEW: _S.WAITING},
            REVIEWERS,
        ),
        Law(
            _A.APPROVE,
            "a prefix is approved while it is in review",
            {_S.IN_REVIEW: _S.APPROVED},
            REVIEWERS,
            _ADMITTED,
        ),
        Law(
            _A.REJECT,
            "a prefix is rejected while it is in review",
            {_S.IN_REVIEW: _S.REJECTED},
            REVIEWERS,
            _REASON,
        ),
        Law(
            _A.SEND,
            "a prefix is sent to the top-level node after approval here",
            {_S.APPROVED: _S.SENT},
            SYSTEM,
        ),
        # The verdict may come with the answer to `create`, or be polled before that answer has been taken note of.
        Law(
            _A.GRANT,
            "the top-level node grants what was approved here and sent to it",
            {_S.APPROVED: _S.GRANTED, _S.SENT: _S.GRANTED},
            TOP_LEVEL,
        ),
        Law(
            _A.REFUSE,
            "the top-level node refuses what was approved here and sent to it",
            {_S.APPROVED: _S.REFUSED, _S.SENT: _S.REFUSED},
            TOP_LEVEL,
            _REASON,
        ),
        Law(
            _A.CONFIGURE,
            "a prefix is hosted or delegated after the top-level node has granted it",
            {s: s for s in (_S.GRANTED, _S.ACTIVE, _S.STOPPED)},
            APPLICANTS,
        ),
        Law(
            _A.ACTIVATE,
            "a prefix is activated after the top-level node has granted it, or after it was stopped",
            {_S.GRANTED: _S.ACTIVE, _S.STOPPED: _S.ACTIVE},
            OPERATORS,
            frozenset({Need.ADMITTED_ENTERPRISE, Need.SERVICE}),
        ),
        Law(_A.STOP, "an active prefix is stopped", {_S.ACTIVE: _S.STOPPED}, OPERATORS, _REASON),
        Law(
            _A.SUSPEND,
            "the top-level node suspends what it has granted",
            dict.fromkeys((_S.GRANTED, _S.ACTIVE, _S.STOPPED, _S.TO_BE_DELETED), _S.SUSPENDED),
            TOP_LEVEL,
            _REASON,
        ),
        Law(
            _A.LIFT,
            "the top-level node lifts its own suspension",
            {_S.SUSPENDED: _S.STOPPED},
            TOP_LEVEL,
        ),
        # Not from suspended: restored from there, a prefix would have slipped its suspension off.
        Law(
            _A.MARK_FOR_DELETION,
            "a prefix is marked for deletion while it is granted or stopped",
            {_S.GRANTED: _S.TO_BE_DELETED, _S.STOPPED: _S.TO_BE_DELETED},
            OPERATORS,
            _REASON,
        ),
        Law(
            _A.RESTORE,
            "a prefix is restored while it is marked for deletion",
            {_S.TO_BE_DELETED: _S.STOPPED},
            OPERATORS,
        ),
        Law(
            _A.REMOVE,
            "a prefix is removed after it was marked for deletion",
            {_S.TO_BE_DELETED: _S.REMOVED},
            OPERATORS,
        ),
    ),
)
