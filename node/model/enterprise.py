"""Enterprise (企业): its form, the review of it, and its standing; 表6.

Two forms: `form` is the newest that was handed in, `approved` the newest that passed review.  The approved one counts:
it is what 表6 and the registration channel send, and a change that is still under review alters nothing outside.  So
an enterprise whose change was refused keeps its prefixes, and one that is disabled does not (`is_admitted`); reopened,
it has no approved form any more, and is reviewed as if it were new.  The result of real-name verification goes up with
the approved form; that of a form with another name waits with it for approval.

The states are those named for the review by the public interface of a secondary node; that a form under review cannot
be changed, so that a reviewer judges what was read, and that real-name verification comes before approval, are ours.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import Annotated, Final, Self

from node.model.entity import Entity
from node.model.field import Checked, Field
from node.model.form import Part
from node.model.kind import Choice, Day, Flag, Text
from node.model.life import Law, Life, Need
from node.model.role import APPLICANTS, OPERATORS, REVIEWERS, SYSTEM, TOP_LEVEL, Role
from node.model.rule import ModelError, Rule

ID = Text(32, r"[0-9A-Za-z_-]+", "e1")  # ours
UPSTREAM_ID = Text(64)  # the number that the top-level node gives to an enterprise (entId)
REASON = Text(1024)


class EnterpriseState(StrEnum):
    """Where the review of the newest form stands."""

    SUBMITTED = "submitted"  # 待审核
    IN_REVIEW = "in_review"  # 审核中
    REJECTED = "rejected"  # 审核不通过
    APPROVED = "approved"  # 审核通过
    DISABLED = "disabled"  # 停用


class EnterpriseAction(StrEnum):
    """What can be done with an enterprise."""

    APPLY = "apply"
    CORRECT = "correct"
    BEGIN_REVIEW = "begin_review"
    RETURN = "return"
    APPROVE = "approve"
    REJECT = "reject"
    DISABLE = "disable"
    ENABLE = "enable"
    REOPEN = "reopen"


_S, _A = EnterpriseState, EnterpriseAction
_REASON = frozenset({Need.REASON})

ENTERPRISE_LIFE: Final = Life(
    "enterprise",
    EnterpriseState,
    (
        Law(_A.APPLY, "an enterprise applies once", {None: _S.SUBMITTED}, APPLICANTS),
        Law(
            _A.CORRECT,
            "a form is changed while nobody reviews it",
            dict.fromkeys((_S.SUBMITTED, _S.REJECTED, _S.APPROVED), _S.SUBMITTED),
            APPLICANTS,
        ),
        Law(
            _A.BEGIN_REVIEW,
            "a review begins with a form that was handed in",
            {_S.SUBMITTED: _S.IN_REVIEW},
            REVIEWERS,
        ),
        Law(
            _A.RETURN,
            "a review that has begun can be given back undecided",
            {_S.IN_REVIEW: _S.SUBMITTED},
            REVIEWERS,
        ),
        Law(
            _A.APPROVE,
            "an enterprise is approved while it is in review",
            {_S.IN_REVIEW: _S.APPROVED},
            REVIEWERS,
            frozenset({Need.VERIFICATION}),
        ),
        Law(
            _A.REJECT,
            "an enterprise is rejected while it is in review",
            {_S.IN_REVIEW: _S.REJECTED},
            REVIEWERS,
            _REASON,
        ),
        Law(
            _A.DISABLE,
            "an enterprise is disabled once",
            dict.fromkeys((_S.SUBMITTED, _S.IN_REVIEW, _S.REJECTED, _S.APPROVED), _S.DISABLED),
            OPERATORS,
            _REASON,
        ),
        Law(
            _A.ENABLE,
            "only a disabled enterprise is enabled",
            {_S.DISABLED: _S.APPROVED},
            OPERATORS,
            frozenset({Need.APPROVED_FORM}),
        ),
        Law(
            _A.REOPEN,
            "only a disabled enterprise is reopened for review",
            {_S.DISABLED: _S.SUBMITTED},
            OPERATORS,
        ),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Verification(Checked):
    """The result of real-name verification (实名核验), which goes up with the enterprise's data."""

    passed: Annotated[bool, Field("核验结果", Flag())]
    on: Annotated[date, Field("核验日期", Day())]
    method: Annotated[str, Field("核验方式", Text(255))]
    note: Annotated[str, Field("核验说明", Text(1024))] = ""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Enterprise(Checked):
    """An enterprise as it stands."""

    id: Annotated[str, Field("企业编号", ID)]
    upstream_id: Annotated[str, Field("顶级节点企业编号", UPSTREAM_ID)] = ""
    state: Annotated[EnterpriseState, Field("审核状态", Choice(EnterpriseState))]
    reason: Annotated[str, Field("审核意见", REASON)] = ""
    verification: Annotated[Verification | None, Field("实名核验", Part(Verification))] = None
    form: Annotated[Entity, Field("主体信息", Part(Entity))]
    approved: Annotated[Entity | None, Field("已通过的主体信息", Part(Entity))] = None
    approved_verification: Annotated[
        Verification | None, Field("已通过主体的实名核验", Part(Verification))
    ] = None

    def check_together(self) -> None:
        if self.state in (_S.REJECTED, _S.DISABLED) and not self.reason:
            raise ModelError("reason", Rule.NEEDS_REASON, "say why")
        if self.state is not _S.APPROVED:
            return
        if self.verification is None or not self.verification.passed:
            raise ModelError("verification", Rule.NEEDS_VERIFICATION, "verify it before approval")
        if self.approved != self.form:
            raise ModelError("approved", Rule.TOGETHER, "the approved form is the newest one")

    def take(
        self,
        action: EnterpriseAction,
        *,
        roles: Collection[Role],
        reason: str = "",
        form: Entity | None = None,
    ) -> Self:
        """Return the enterprise after a step; `form` is what a correction hands in.  Raises ModelError.

        Approval makes the newest form the approved one.  A form with another name, certificate or legal
        representative has not been verified yet.
        """
        met = self.needs_met | ({Need.REASON} if reason else set())
        state = ENTERPRISE_LIFE.next_state(self.state, action, roles=roles, met=met)
        newest = self._form_after(action, form)
        is_same = _who(newest) == _who(self.form)
        return replace(
            self,
            state=state,
            reason=reason,
            form=newest,
            verification=self.verification if is_same else None,
            approved=self._approved_after(action),
            approved_verification=self._approved_verification_after(action),
        )

    def verify(self, verification: Verification, *, roles: Collection[Role]) -> Self:
        """Return the enterprise with the result of the verification of its newest form.  Raises ModelError."""
        _check_role(REVIEWERS, roles, "verification")
        is_of_approved = self.approved is not None and _who(self.approved) == _who(self.form)
        approved = verification if is_of_approved else self.approved_verification
        return replace(self, verification=verification, approved_verification=approved)

    def note_upstream(self, upstream_id: str, *, roles: Collection[Role]) -> Self:
        """Return the enterprise with the number that the top-level node gave it.  Raises ModelError."""
        _check_role(TOP_LEVEL | SYSTEM, roles, "upstream_id")
        return replace(self, upstream_id=upstream_id)

    def _form_after(self, action: EnterpriseAction, form: Entity | None) -> Entity:
        if (action is _A.CORRECT) != (form is not None):
            raise ModelError("form", Rule.TOGETHER, "give a form to correct it, and only then")
        return form or self.form

    def _approved_after(self, action: EnterpriseAction) -> Entity | None:
        if action is _A.APPROVE:
            return self.form
        return None if action is _A.REOPEN else self.approved

    def _approved_verification_after(self, action: EnterpriseAction) -> Verification | None:
        if action is _A.APPROVE:
            return self.verification
        return None if action is _A.REOPEN else self.approved_verification

    @property
    def is_admitted(self) -> bool:
        """True when it may hold prefixes that resolve: approved at some time, and not disabled."""
        return self.approved is not None and self.state is not _S.DISABLED

    @property
    def needs_met_for_prefixes(self) -> frozenset[Need]:
        """What the enterprise brings for the steps of its prefixes."""
        return frozenset({Need.ADMITTED_ENTERPRISE}) if self.is_admitted else frozenset()

    @property
    def needs_met(self) -> frozenset[Need]:
        """What is at hand for a step of this enterprise, but for the reason of the step itself."""
        verified = self.verification is not None and self.verification.passed
        met = {Need.VERIFICATION} if verified else set()
        return frozenset(met | ({Need.APPROVED_FORM} if self.approved == self.form else set()))


def apply(id_: str, form: Entity, *, roles: Collection[Role]) -> Enterprise:
    """Return an enterprise that has just applied, under a number of ours.  Raises ModelError."""
    state = ENTERPRISE_LIFE.next_state(None, _A.APPLY, roles=roles)
    return Enterprise(id=id_, state=state, form=form)


def _check_role(by: Collection[Role], roles: Collection[Role], field: str) -> None:
    if not set(by) & set(roles):
        who = " or ".join(sorted(role.value for role in by))
        raise ModelError(field, Rule.ROLE, f"only {who} may note this")


def _who(form: Entity) -> tuple[object, ...]:
    """What the verification was about."""
    of, legal = form.organisation, form.organisation.legal_person
    who = (legal.name, legal.certificate_type, legal.certificate_number)
    return (of.name, of.certificate, *who)
