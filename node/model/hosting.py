"""Hosting (托管): whether the enterprise's records live on this node.

The four states and their numbers are public (`proxyState`); which step leads from one to another is not, and ours.
"""

from enum import IntEnum, StrEnum
from typing import Final

from node.model.life import Law, Life, Need
from node.model.role import APPLICANTS, OPERATORS, REVIEWERS


class Hosting(IntEnum):
    """Where the application to be hosted stands (托管状态)."""

    NOT_HOSTED = 1  # 未托管
    APPLIED = 2  # 申请中
    REJECTED = 3  # 已拒绝
    HOSTED = 4  # 已托管


class HostingAction(StrEnum):
    """What can be done about hosting."""

    APPLY = "apply"
    WITHDRAW = "withdraw"
    APPROVE = "approve"
    REJECT = "reject"
    END = "end"


_S, _A = Hosting, HostingAction

HOSTING_LIFE: Final = Life(
    "hosting",
    Hosting,
    (
        Law(
            _A.APPLY,
            "one applies to be hosted when one is not",
            {_S.NOT_HOSTED: _S.APPLIED, _S.REJECTED: _S.APPLIED},
            APPLICANTS,
        ),
        Law(
            _A.WITHDRAW,
            "an application is withdrawn before it is granted",
            {_S.APPLIED: _S.NOT_HOSTED, _S.REJECTED: _S.NOT_HOSTED},
            APPLICANTS,
        ),
        Law(
            _A.APPROVE,
            "hosting is granted to who applied for it",
            {_S.APPLIED: _S.HOSTED},
            REVIEWERS,
            frozenset({Need.SERVER}),
        ),
        Law(
            _A.REJECT,
            "hosting is refused to who applied for it",
            {_S.APPLIED: _S.REJECTED},
            REVIEWERS,
            frozenset({Need.REASON}),
        ),
        Law(
            _A.END,
            "hosting ends where there is any",
            {_S.HOSTED: _S.NOT_HOSTED},
            OPERATORS,
            frozenset({Need.REASON}),
        ),
    ),
)
