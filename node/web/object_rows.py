"""Rows of the route table for objects of the model: enterprises, prefixes, templates, applications, this node itself.

Law of the order: an id may have slashes, so what stands behind an id is tried before the id alone.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from node.registry.objects import Objects
from node.web import object_operations as operations
from node.web.applications import ApplicationsApi
from node.web.enterprises import EnterprisesApi
from node.web.objectanswers import schemas
from node.web.objectdesk import ObjectAct, ObjectDesk
from node.web.objectview import ObjectView
from node.web.operations import Operation
from node.web.operators import OperatorDesk
from node.web.owndata import OwnDataApi
from node.web.prefixes import PrefixesApi
from node.web.row import Endpoint, Row, Section
from node.web.templates import TemplatesApi

At = Callable[[ObjectAct], Endpoint]
"""Makes an endpoint below one root of what answers there."""


class _Read(NamedTuple):
    """The operations of reading one kind."""

    list: Operation
    show: Operation
    history: Operation


def object_section(objects: Objects, desk: OperatorDesk) -> Section:
    """Return the rows over the use cases, for operators, with their schemas."""
    object_desk = ObjectDesk(desk)
    rows = (
        *_enterprise_rows(object_desk, EnterprisesApi(objects)),
        *_prefix_rows(object_desk, PrefixesApi(objects)),
        *_template_rows(object_desk, TemplatesApi(objects)),
        *_application_rows(object_desk, ApplicationsApi(objects)),
        *_own_rows(object_desk, OwnDataApi(objects)),
    )
    return Section(rows, schemas())


def _enterprise_rows(desk: ObjectDesk, api: EnterprisesApi) -> tuple[Row, ...]:
    root, one = "/v1/enterprises", "/v1/enterprises/{id}"
    at = partial(desk.endpoint, root)
    read = _Read(
        operations.LIST_ENTERPRISES, operations.SHOW_ENTERPRISE, operations.ENTERPRISE_HISTORY
    )
    return (
        Row("POST", root, at(api.apply), operations.APPLY_ENTERPRISE),
        Row("POST", f"{one}/steps", at(api.step), operations.STEP_ENTERPRISE),
        Row("PUT", f"{one}/verification", at(api.verify), operations.VERIFY_ENTERPRISE),
        *_read_rows(at, root, one, api.view, read),
    )


def _prefix_rows(desk: ObjectDesk, api: PrefixesApi) -> tuple[Row, ...]:
    root, one = "/v1/prefixes", "/v1/prefixes/{id}"
    at = partial(desk.endpoint, root)
    read = _Read(operations.LIST_PREFIXES, operations.SHOW_PREFIX, operations.PREFIX_HISTORY)
    return (
        Row("POST", root, at(api.apply), operations.APPLY_PREFIX),
        Row("POST", f"{one}/steps", at(api.step), operations.STEP_PREFIX),
        Row("PUT", f"{one}/sites", at(api.configure), operations.PUT_SITES),
        Row("POST", f"{one}/hosting", at(api.host), operations.STEP_HOSTING),
        *_read_rows(at, root, one, api.view, read),
    )


def _template_rows(desk: ObjectDesk, api: TemplatesApi) -> tuple[Row, ...]:
    root, one = "/v1/templates", "/v1/templates/{id:path}"
    at = partial(desk.endpoint, root)
    read = _Read(operations.LIST_TEMPLATES, operations.SHOW_TEMPLATE, operations.TEMPLATE_HISTORY)
    return (
        Row("POST", root, at(api.create), operations.CREATE_TEMPLATE),
        Row("POST", f"{one}/steps", at(api.step), operations.STEP_TEMPLATE),
        *_read_rows(at, root, one, api.view, read),
        Row("PUT", one, at(api.put), operations.PUT_TEMPLATE),
    )


def _application_rows(desk: ObjectDesk, api: ApplicationsApi) -> tuple[Row, ...]:
    root, one = "/v1/applications", "/v1/applications/{id:path}"
    at = partial(desk.endpoint, root)
    read = _Read(
        operations.LIST_APPLICATIONS, operations.SHOW_APPLICATION, operations.APPLICATION_HISTORY
    )
    return (
        Row("POST", root, at(api.register), operations.REGISTER_APPLICATION),
        Row("POST", f"{one}/steps", at(api.step), operations.STEP_APPLICATION),
        *_read_rows(at, root, one, api.view, read),
        Row("PUT", one, at(api.put), operations.PUT_APPLICATION),
    )


def _own_rows(desk: ObjectDesk, api: OwnDataApi) -> tuple[Row, ...]:
    operator, routes = "/v1/operator", "/v1/routes"
    of_operator, of_routes = partial(desk.endpoint, operator), partial(desk.endpoint, routes)
    return (
        Row("GET", operator, of_operator(api.show_operator), operations.SHOW_OPERATOR),
        Row("HEAD", operator, of_operator(api.show_operator)),
        Row("PUT", operator, of_operator(api.put_operator), operations.PUT_OPERATOR),
        Row("GET", routes, of_routes(api.list_routes), operations.LIST_ROUTES),
        Row("HEAD", routes, of_routes(api.list_routes)),
        Row("PUT", routes, of_routes(api.put_routes), operations.PUT_ROUTES),
    )


def _read_rows(at: At, root: str, one: str, view: ObjectView, read: _Read) -> tuple[Row, ...]:
    return (
        Row("GET", root, at(view.list), read.list),
        Row("HEAD", root, at(view.list)),
        Row("GET", f"{one}/history", at(view.history), read.history),
        Row("HEAD", f"{one}/history", at(view.history)),
        Row("GET", one, at(view.show), read.show),
        Row("HEAD", one, at(view.show)),
    )
