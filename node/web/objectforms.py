"""Forms: what is handed in about objects of the model without being one; each is read and checked as they are."""

from dataclasses import dataclass
from typing import Annotated

from node.model.application import ApplicationAction
from node.model.enterprise import ID, REASON, EnterpriseAction
from node.model.entity import Entity
from node.model.field import Checked, Field
from node.model.form import Part
from node.model.hosting import HostingAction
from node.model.kind import Choice, Many
from node.model.prefix import HOSTING_SERVER
from node.model.prefixname import ENTERPRISE
from node.model.site import MAX_SITES, IdentifierType, Route, Site
from node.model.stage import PrefixAction
from node.model.template import TemplateAction

MAX_ROUTES = 64  # of the node's own

_SITES = Field("解析服务地址", Many(Part(Site), MAX_SITES))


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class EnterpriseStep(Checked):
    """A step of an enterprise; `form` is what `correct` hands in."""

    action: Annotated[EnterpriseAction, Field("动作", Choice(EnterpriseAction))]
    reason: Annotated[str, Field("原因", REASON)] = ""
    form: Annotated[Entity | None, Field("主体信息", Part(Entity))] = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PrefixApplication(Checked):
    """An application for a prefix."""

    prefix: Annotated[str, Field("企业前缀", ENTERPRISE)]
    enterprise: Annotated[str, Field("企业编号", ID)]
    identifier_type: Annotated[IdentifierType, Field("标识类型", Choice(IdentifierType))] = (
        IdentifierType.VAA
    )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PrefixStep(Checked):
    """A step of a prefix's life."""

    action: Annotated[PrefixAction, Field("动作", Choice(PrefixAction))]
    reason: Annotated[str, Field("原因", REASON)] = ""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PrefixSites(Checked):
    """Where the enterprise's own servers answer for a prefix; none: nowhere any more."""

    sites: Annotated[tuple[Site, ...], _SITES] = ()


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class HostingStep(Checked):
    """A step about hosting; `server` is which one hosts, `sites` are where a prefix goes when hosting ends."""

    action: Annotated[HostingAction, Field("动作", Choice(HostingAction))]
    reason: Annotated[str, Field("原因", REASON)] = ""
    server: Annotated[str, Field("托管服务器", HOSTING_SERVER)] = ""
    sites: Annotated[tuple[Site, ...], _SITES] = ()


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class TemplateStep(Checked):
    """A step of a template; its text is changed by putting it."""

    action: Annotated[TemplateAction, Field("动作", Choice(TemplateAction))]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ApplicationStep(Checked):
    """A step of an application; its text is changed by putting it."""

    action: Annotated[ApplicationAction, Field("动作", Choice(ApplicationAction))]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Routes(Checked):
    """Where this node answers: these routes, and no others."""

    routes: Annotated[tuple[Route, ...], Field("解析路由", Many(Part(Route), MAX_ROUTES))] = ()
