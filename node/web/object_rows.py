"""Rows of the route table for objects of the model: enterprises, prefixes, templates, applications, this node itself.

Law of the order: an id may have slashes, so what stands behind an id is tried before the id alone.
"""

from typing import NamedTuple

from node.registry.objects import Objects
from node.web import object_operations as operations
from node.web.applications import ApplicationsApi
from node.web.enterprises import EnterprisesApi
from node.web.objectanswers import schemas
from node.web.objectdesk import ObjectDesk
from node.web.objectview import ObjectView
from node.web.operations import Operation
from node.web.operators import OperatorDesk
from node.web.owndata import OwnDataApi
from node.web.prefixes import PrefixesApi
from node.web.row import Row, Section
from node.web.templates import TemplatesApi


class _Read(NamedTuple):
    """The operations of reading one kind."""

    list: Operation
    show: Operation
    history: Operation


def object_section(objects: Objects, desk: OperatorDesk) -> Section:
    """Return the rows over the use cases, for operators, with their schemas."""
    at = ObjectDesk(desk)
    rows = (
        *_enterprise_rows(EnterprisesApi(at, objects)),
        *_prefix_rows(PrefixesApi(at, objects)),
        *_template_rows(TemplatesApi(at, objects)),
        *_application_rows(ApplicationsApi(at, objects)),
        *_own_rows(OwnDataApi(at, objects)),
    )
    return Section(rows, schemas())


def _enterprise_rows(api: EnterprisesApi) -> tuple[Row, ...]:
    root, one = "/v1/enterprises", "/v1/enterprises/{id}"
    read = _Read(
        operations.LIST_ENTERPRISES, operations.SHOW_ENTERPRISE, operations.ENTERPRISE_HISTORY
    )
    return (
        Row("POST", root, api.apply, operations.APPLY_ENTERPRISE),
        Row("POST", f"{one}/steps", api.step, operations.STEP_ENTERPRISE),
        Row("PUT", f"{one}/verification", api.verify, operations.VERIFY_ENTERPRISE),
        *_read_rows(root, one, api.view, read),
    )


def _prefix_rows(api: PrefixesApi) -> tuple[Row, ...]:
    root, one = "/v1/prefixes", "/v1/prefixes/{id}"
    read = _Read(operations.LIST_PREFIXES, operations.SHOW_PREFIX, operations.PREFIX_HISTORY)
    return (
        Row("POST", root, api.apply, operations.APPLY_PREFIX),
        Row("POST", f"{one}/steps", api.step, operations.STEP_PREFIX),
        Row("PUT", f"{one}/sites", api.configure, operations.PUT_SITES),
        Row("POST", f"{one}/hosting", api.host, operations.STEP_HOSTING),
        *_read_rows(root, one, api.view, read),
    )


def _template_rows(api: TemplatesApi) -> tuple[Row, ...]:
    root, one = "/v1/templates", "/v1/templates/{id:path}"
    read = _Read(operations.LIST_TEMPLATES, operations.SHOW_TEMPLATE, operations.TEMPLATE_HISTORY)
    return (
        Row("POST", root, api.create, operations.CREATE_TEMPLATE),
        Row("POST", f"{one}/steps", api.step, operations.STEP_TEMPLATE),
        *_read_rows(root, one, api.view, read),
        Row("PUT", one, api.put, operations.PUT_TEMPLATE),
    )


def _application_rows(api: ApplicationsApi) -> tuple[Row, ...]:
    root, one = "/v1/applications", "/v1/applications/{id:path}"
    read = _Read(
        operations.LIST_APPLICATIONS, operations.SHOW_APPLICATION, operations.APPLICATION_HISTORY
    )
    return (
        Row("POST", root, api.register, operations.REGISTER_APPLICATION),
        Row("POST", f"{one}/steps", api.step, operations.STEP_APPLICATION),
        *_read_rows(root, one, api.view, read),
        Row("PUT", one, api.put, operations.PUT_APPLICATION),
    )


def _own_rows(api: OwnDataApi) -> tuple[Row, ...]:
    operator, routes = "/v1/operator", "/v1/routes"
    return (
        Row("GET", operator, api.show_operator, operations.SHOW_OPERATOR),
        Row("HEAD", operator, api.show_operator),
        Row("PUT", operator, api.put_operator, operations.PUT_OPERATOR),
        Row("GET", routes, api.list_routes, operations.LIST_ROUTES),
        Row("HEAD", routes, api.list_routes),
        Row("PUT", routes, api.put_routes, operations.PUT_ROUTES),
    )


def _read_rows(root: str, one: str, view: ObjectView, read: _Read) -> tuple[Row, ...]:
    return (
        Row("GET", root, view.list, read.list),
        Row("HEAD", root, view.list),
        Row("GET", f"{one}/history", view.history, read.history),
        Row("HEAD", f"{one}/history", view.history),
        Row("GET", one, view.show, read.show),
        Row("HEAD", one, view.show),
    )
