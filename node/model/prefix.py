"""Prefix (企业前缀): its stages from the application to the end, who answers for it, and when it resolves.

The public interface knows six numbers (`Status`, 0 to 5); the way through two reviews, here and at the top-level node,
has more places, so a prefix is kept at a `Stage`, and each stage shows one number:

    waiting 4 -> in_review 5 -> approved 5 -> sent 5 -> granted 0 -> active 1 <-> stopped 0 -> to_be_deleted 2
                     |                         |                        |            ^              |
                 rejected 3                refused 3               suspended 0 ------+           removed 2

Laws: only an active prefix of an admitted enterprise resolves, and active it becomes only after the top-level node
has granted it and somebody is there to answer: this node (hosted) or the enterprise's (sites).  A name is never given
twice, not even after its removal.  The numbers are public; the stages, and which number each shows, are our proposal.
The registration channel has no command for deletion: `remove` records what was agreed with the top-level node.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated, Self

from node.model.enterprise import ID, REASON, Enterprise
from node.model.field import Checked, Field
from node.model.form import Part
from node.model.hosting import HOSTING_LIFE, Hosting, HostingAction
from node.model.kind import Choice, Many, Text
from node.model.life import Need
from node.model.prefixname import ENTERPRISE, check_under
from node.model.role import Role
from node.model.rule import ModelError, Rule
from node.model.site import MAX_SITES, IdentifierType, Site, check_sites
from node.model.stage import PREFIX_LIFE, STATUS_OF, PrefixAction, Stage, Status

HOSTING_SERVER = Text(64, r"[0-9A-Za-z._-]+", "main")


class Answerer(StrEnum):
    """Who answers for a prefix."""

    NOBODY = "nobody"  # it does not resolve
    HERE = "here"  # this node: hosted, homed
    ENTERPRISE = "enterprise"  # the enterprise's node: delegated by HS_SITE


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Prefix(Checked):
    """A prefix as it stands."""

    prefix: Annotated[str, Field("企业前缀", ENTERPRISE)]
    identifier_type: Annotated[IdentifierType, Field("标识类型", Choice(IdentifierType))] = (
        IdentifierType.VAA
    )
    enterprise: Annotated[str, Field("企业编号", ID)]
    stage: Annotated[Stage, Field("前缀阶段", Choice(Stage))]
    reason: Annotated[str, Field("审核意见", REASON)] = ""
    hosting: Annotated[Hosting, Field("托管状态", Choice(Hosting))] = Hosting.NOT_HOSTED
    hosting_server: Annotated[str, Field("托管服务器", HOSTING_SERVER)] = ""
    hosting_reason: Annotated[str, Field("托管审核意见", REASON)] = ""
    sites: Annotated[tuple[Site, ...], Field("解析服务地址", Many(Part(Site), MAX_SITES))] = ()

    def check_together(self) -> None:
        check_sites(self.sites)
        if self.stage in _EXPLAINED and not self.reason:
            raise ModelError("reason", Rule.NEEDS_REASON, "say why")
        self._check_hosting()
        if self.stage is Stage.ACTIVE and not self.has_service:
            raise ModelError("sites", Rule.NEEDS_SERVICE, "stop the prefix first, or name a site")

    def _check_hosting(self) -> None:
        is_hosted = self.hosting is Hosting.HOSTED
        if is_hosted and self.sites:
            raise ModelError(
                "sites", Rule.TOGETHER, "a prefix is hosted here, or has sites, but not both"
            )
        if is_hosted != bool(self.hosting_server):
            raise ModelError("hosting_server", Rule.NEEDS_SERVER, "name it when hosted, only then")
        if self.hosting is Hosting.REJECTED and not self.hosting_reason:
            raise ModelError("hosting_reason", Rule.NEEDS_REASON, "say why")

    @property
    def status(self) -> Status:
        """The public number of its stage."""
        return STATUS_OF[self.stage]

    @property
    def has_service(self) -> bool:
        """True when somebody is there to answer."""
        return self.hosting is Hosting.HOSTED or bool(self.sites)

    def answerer(self, owner: Enterprise) -> Answerer:
        """Return who answers for it now."""
        if self.stage is not Stage.ACTIVE or not owner.is_admitted:
            return Answerer.NOBODY
        return Answerer.HERE if self.hosting is Hosting.HOSTED else Answerer.ENTERPRISE

    def take(
        self,
        action: PrefixAction,
        owner: Enterprise,
        *,
        roles: Collection[Role],
        reason: str = "",
    ) -> Self:
        """Return the prefix after a step of its life.  Raises ModelError: see `Life.next_state`."""
        met = self.met_needs(owner) | ({Need.REASON} if reason else set())
        stage = PREFIX_LIFE.next_state(self.stage, action, roles=roles, met=met)
        return replace(self, stage=stage, reason=reason)

    def configure(self, sites: tuple[Site, ...], *, roles: Collection[Role]) -> Self:
        """Return the prefix delegated to these sites.  Raises ModelError, as for one that is hosted."""
        PREFIX_LIFE.next_state(self.stage, PrefixAction.CONFIGURE, roles=roles)
        return replace(self, sites=sites)

    def take_hosting(
        self,
        action: HostingAction,
        *,
        roles: Collection[Role],
        reason: str = "",
        server: str = "",
        sites: tuple[Site, ...] = (),
    ) -> Self:
        """Return the prefix after a step about hosting; its sites go when it is hosted, and come back when that ends.

        So a prefix changes hands while it is active, without a moment in which nobody answers.  Raises ModelError.
        """
        met = ({Need.REASON} if reason else set()) | ({Need.SERVER} if server else set())
        state = HOSTING_LIFE.next_state(self.hosting, action, roles=roles, met=met)
        if action is HostingAction.APPLY or action is HostingAction.WITHDRAW:
            return replace(self, hosting=state, hosting_reason="")
        if action is HostingAction.REJECT:
            return replace(self, hosting=state, hosting_reason=reason)
        PREFIX_LIFE.check_allowed(self.stage, PrefixAction.CONFIGURE)
        is_hosted = state is Hosting.HOSTED
        return replace(
            self,
            hosting=state,
            hosting_server=server if is_hosted else "",
            hosting_reason=reason,
            sites=() if is_hosted else sites,
        )

    def met_needs(self, owner: Enterprise) -> frozenset[Need]:
        """What is at hand for a step of its life, but for the reason of the step itself."""
        met = {Need.SERVICE} if self.has_service else set()
        return frozenset(met | owner.needs_met_for_prefixes)


def apply(prefix: str, secondary: str, owner: Enterprise, *, roles: Collection[Role]) -> Prefix:
    """Return an applied-for prefix of an enterprise, below the node's own.  Raises ModelError."""
    stage = PREFIX_LIFE.next_state(
        None, PrefixAction.APPLY, roles=roles, met=owner.needs_met_for_prefixes
    )
    applied = Prefix(prefix=prefix, enterprise=owner.id, stage=stage)
    check_under(prefix, secondary)
    return applied


_EXPLAINED = (Stage.REJECTED, Stage.REFUSED, Stage.SUSPENDED, Stage.TO_BE_DELETED)
