"""Answers about objects of the model as the OpenAPI document shows them: their schemas, and an example of each."""

from datetime import UTC, datetime

from node.model.application import Application
from node.model.enterprise import Enterprise, EnterpriseState, Verification
from node.model.entity import Entity
from node.model.field import Checked
from node.model.form import read
from node.model.operator import Operator
from node.model.prefix import Prefix
from node.model.stage import Stage
from node.model.template import Template
from node.registry.objects import CLASSES, Held, ObjectKind, Step, Value, id_of, state_of
from node.web.examples import example
from node.web.objectforms import (
    ApplicationStep,
    EnterpriseStep,
    HostingStep,
    PrefixApplication,
    PrefixSites,
    PrefixStep,
    Routes,
    TemplateStep,
)
from node.web.objectview import PLURALS, STATES, held_json, step_json
from node.web.operations import TEXT, JsonObject
from node.web.schemas import name_of, ref, schemas_of
from resolver.problem import PROBLEM_TYPE

JSON_TYPE = "application/json"
PROBLEM, HISTORY = "Problem", "History"
FORMS: tuple[type[Checked], ...] = (
    Entity,
    Verification,
    Template,
    Application,
    Operator,
    EnterpriseStep,
    PrefixApplication,
    PrefixStep,
    PrefixSites,
    HostingStep,
    TemplateStep,
    ApplicationStep,
    Routes,
)

_OF_ENTERPRISES = (ObjectKind.PREFIX, ObjectKind.TEMPLATE, ObjectKind.APPLICATION)
_COUNT: JsonObject = {"type": "integer", "minimum": 0}
_TIME: JsonObject = {"type": "string", "format": "date-time"}
_AT = datetime(2026, 11, 3, 1, 30, tzinfo=UTC)


def schemas() -> JsonObject:
    """Return all schemas of requests and answers about objects, by name."""
    held = {_held_name(kind): _held_schema(kind) for kind in ObjectKind}
    own = {PROBLEM: _PROBLEM, HISTORY: _HISTORY}
    return {**schemas_of(FORMS), **schemas_of(CLASSES.values(), shown=True), **held, **own}


def body_of(form: type[Checked], given: object) -> JsonObject:
    """Return the request body that a form is, with an example."""
    content = {JSON_TYPE: {"schema": ref(name_of(form)), "example": given}}
    return {"required": True, "content": content}


def held_content(kind: ObjectKind) -> JsonObject:
    """Return the content of an answer that is one object."""
    return _content(ref(_held_name(kind)), held_json(_held(kind)))


def list_content(kind: ObjectKind) -> JsonObject:
    """Return the content of an answer that is a list of objects."""
    name = PLURALS[kind]
    listed = {"type": "array", "items": ref(_held_name(kind))}
    properties = {name: listed, "after": {**TEXT, "description": "There may be more after this."}}
    schema: JsonObject = {"type": "object", "required": [name], "properties": properties}
    return _content(schema, {name: [held_json(_held(kind))]})


def history_content() -> JsonObject:
    """Return the content of an answer that is a history."""
    who = ("1:88.118/ADMIN", "token", "http 127.0.0.1", "")
    steps = [
        Step(1, _AT, "enterprise.apply", "submitted", *who),
        Step(2, _AT, "enterprise.verify", "submitted", *who),
    ]
    return _content(ref(HISTORY), {"id": "e1", "steps": [step_json(step) for step in steps]})


def refusal_content(status: int) -> JsonObject:
    """Return the content of an answer that is a problem."""
    content: JsonObject = {"schema": ref(PROBLEM)}
    if status in _REFUSALS:
        content["example"] = _REFUSALS[status]
    return {PROBLEM_TYPE: content}


def _content(schema: JsonObject, shown: object) -> JsonObject:
    return {JSON_TYPE: {"schema": schema, "example": shown}}


def _held_name(kind: ObjectKind) -> str:
    return f"Held{CLASSES[kind].__name__}"


def _held_schema(kind: ObjectKind) -> JsonObject:
    state = {**TEXT, "enum": list(STATES[kind])} if kind in STATES else TEXT
    properties: JsonObject = {
        "kind": {**TEXT, "enum": [kind.value]},
        "id": TEXT,
        "enterprise": {**TEXT, "description": "Whose it is; empty: the node's own."},
        "state": state,
        "version": {**_COUNT, "description": "How many steps it has taken; its ETag."},
        "changed_at": _TIME,
        "actions": {
            "type": "array",
            "items": TEXT,
            "description": "The steps that can be taken now.",
        },
        "value": ref(name_of(CLASSES[kind], shown=True)),
    }
    required = list(properties)
    if kind is ObjectKind.PREFIX:
        properties["status"] = {**_COUNT, "maximum": 5, "description": "The public number."}
        properties["hosting"] = {"type": "integer", "minimum": 1, "maximum": 4}
        properties["hosting_actions"] = {"type": "array", "items": TEXT}
    return {"type": "object", "required": required, "properties": properties}


def _held(kind: ObjectKind) -> Held:
    """An object as an example."""
    value, whose = _value(kind), "e1" if kind in _OF_ENTERPRISES else ""
    return Held(kind, id_of(value, whose), whose, state_of(value), 1, _AT, value)


def _value(kind: ObjectKind) -> Value:
    """The value of an example, made from the example forms."""
    match kind:
        case ObjectKind.OPERATOR:
            return read(Operator, example("operator"))
        case ObjectKind.ROUTE:
            return read(Routes, example("routes")).routes[0]
        case ObjectKind.ENTERPRISE:
            form = read(Entity, example("enterprise"))
            return Enterprise(id="e1", state=EnterpriseState.SUBMITTED, form=form)
        case ObjectKind.PREFIX:
            return Prefix(prefix="88.118.8", enterprise="e1", stage=Stage.WAITING)
        case ObjectKind.TEMPLATE:
            return read(Template, example("template"))
        case ObjectKind.APPLICATION:
            return read(Application, example("application"))


def _refusal(status: int, kind: str, detail: str, **members: object) -> JsonObject:
    shown: JsonObject = {"type": f"/docs#{kind}", "title": kind.replace("_", " ").capitalize()}
    return {**shown, "status": status, "detail": detail, "identifier": "e1/steps", **members}


def _broken(status: int, kind: str, field: str, rule: str, message: str) -> JsonObject:
    faults = [{"field": field, "rule": rule, "message": message}]
    detail = f"{field}: {message}"
    return _refusal(status, kind, detail, rule=rule, field=field, faults=faults)


_REFUSALS: dict[int, JsonObject] = {
    404: _refusal(404, "no_such_object", "There is no enterprise 'e1'."),
    409: _broken(
        409,
        "step_refused",
        "state",
        "enterprise.approve",
        "an enterprise is approved while it is in review; it is submitted now, and you can: "
        "begin_review, correct, disable",
    ),
    412: _refusal(
        412, "condition_failed", "The enterprise is at version 3; read it again.", version=3
    ),
    422: _broken(
        422,
        "rule_broken",
        "form.organisation.contact.phone",
        "form",
        "write it like 13800000000 or 0536-8000000",
    ),
}

_FAULT: JsonObject = {
    "type": "object",
    "required": ["field", "rule", "message"],
    "properties": {"field": TEXT, "rule": TEXT, "message": TEXT},
}
_PROBLEM: JsonObject = {
    "type": "object",
    "description": "RFC 9457; `field`, `rule` and `faults` are there when a rule of the model is broken.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": TEXT,
        "title": TEXT,
        "status": {"type": "integer"},
        "detail": TEXT,
        "identifier": {**TEXT, "description": "What the path names."},
        "field": {**TEXT, "description": "The path of the field, such as `form.contact.phone`."},
        "rule": {**TEXT, "description": "The rule's name, such as `enterprise.approve`."},
        "faults": {"type": "array", "items": _FAULT, "description": "All of them."},
        "version": {**_COUNT, "description": "Of 412: where the object is."},
        "responseCode": {"type": "integer"},
    },
}
_STEP: JsonObject = {
    "type": "object",
    "required": list(Step._fields),
    "properties": {**dict.fromkeys(Step._fields, TEXT), "version": _COUNT, "at": _TIME},
}
_HISTORY: JsonObject = {
    "type": "object",
    "required": ["id", "steps"],
    "properties": {
        "id": TEXT,
        "steps": {"type": "array", "items": _STEP},
        "after": {**_COUNT, "description": "There may be more after this version."},
    },
}
