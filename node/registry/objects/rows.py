"""Rows: what the tables that are synced say of an object; pure.

Each object has one row at most, under a key of its own; what is not to be told is told as gone.  A row that its table
does not take is refused here, with the field, so that whoever takes the step hears of it and not the log.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from node.model.application import Application
from node.model.enterprise import Enterprise
from node.model.form import write
from node.model.operator import Operator
from node.model.prefix import Answerer, Prefix
from node.model.rule import ModelError
from node.model.site import Route, Site
from node.model.template import Template, TemplateState
from node.registry.objects.held import Value
from node.store.synced import RowChange
from sync.channels.tables import TABLES, Fault

_PHOTOS = ("certificate_photo", "photo_front", "photo_back")  # 表6 has none
_TOLD = frozenset({TemplateState.PUBLISHED, TemplateState.WITHDRAWN})

Body = Mapping[str, object]


def row_of(
    value: Value,
    *,
    enterprise: str = "",
    owner: Enterprise | None = None,
    here: Sequence[Site] = (),
    is_kept: bool = True,
) -> RowChange:
    """Return the row of an object.  Raises ModelError.

    `enterprise` says whose a template or an application is (empty: the node's own), `owner` is that of a prefix, `here`
    where this node answers for what it hosts; a route that is not kept any more has no row.
    """
    match value:
        case Operator():
            return _row("1", write(value))
        case Route():
            return _row("2", write(value), is_told=is_kept)
        case Enterprise():
            return _row("6", _of_enterprise(value), is_told=value.approved is not None)
        case Prefix():
            return _of_prefix(value, owner, here)
        case Template():
            number = "11" if enterprise else "4"
            return _row(number, write(value), is_told=value.state in _TOLD)
        case Application():
            if enterprise:
                return _row("10", {"enterprise": enterprise, **write(value)})
            return _row("5", write(value))


def _of_enterprise(value: Enterprise) -> Body:
    """The approved form: what is under review alters nothing outside."""
    verification = value.approved_verification
    return {
        "enterprise": value.id,
        "upstream_id": value.upstream_id or None,
        "verification": write(verification) if verification else None,
        "entity": _without_photos(write(value.approved)) if value.approved else None,
    }


def _without_photos(entity: dict[str, Any]) -> Body:
    organisation = entity["organisation"]
    for holder in (organisation, organisation["legal_person"], organisation["contact"]):
        for photo in _PHOTOS:
            holder.pop(photo, None)
    return entity


def photos_of(value: Value) -> list[str]:
    """Return the ids of the photos that the forms of an object name."""
    match value:
        case Operator():
            return _photos_in(write(value))
        case Enterprise():
            forms = (value.form, value.approved)
            return [photo for form in forms if form for photo in _photos_in(write(form))]
    return []


def _photos_in(form: object) -> list[str]:
    if not isinstance(form, dict):
        return []
    own = [form[name] for name in _PHOTOS if form.get(name)]
    return own + [photo for each in form.values() for photo in _photos_in(each)]


def _of_prefix(value: Prefix, owner: Enterprise | None, here: Sequence[Site]) -> RowChange:
    """Its route, while somebody answers."""
    answerer = value.answerer(owner) if owner else Answerer.NOBODY
    sites = here if answerer is Answerer.HERE else value.sites
    body = {
        "enterprise": value.enterprise,
        "identifier_type": value.identifier_type.value,
        "prefix": value.prefix,
        "sites": [write(site) for site in sites],
    }
    return _row("7", body, is_told=answerer is not Answerer.NOBODY)


def _row(number: str, body: Body, *, is_told: bool = True) -> RowChange:
    table = TABLES[number]
    try:
        return RowChange(number, table.key_of(body), table.encode(body) if is_told else None)
    except Fault as fault:
        raise ModelError(fault.field, f"table_{number}", fault.reason) from fault
