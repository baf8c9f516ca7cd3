"""Operations of `/v1/enterprises` and its neighbours on the admin listener: each request and answer, with examples."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from node.model.application import Application
from node.model.enterprise import Verification
from node.model.entity import Entity
from node.model.field import Checked
from node.model.operator import Operator
from node.model.personal import has_personal
from node.model.template import Template
from node.registry.objects import CLASSES, ObjectKind
from node.web.examples import example
from node.web.objectanswers import (
    body_of,
    held_content,
    history_content,
    list_content,
    refusal_content,
)
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
from node.web.objectview import MAX_PAGE, MAX_VERSION, PLURALS, STATES
from node.web.operations import FLAG, TEXT, JsonObject, Operation, in_header, in_path, in_query

_TAGS = {
    ObjectKind.OPERATOR: "This node",
    ObjectKind.ROUTE: "This node",
    ObjectKind.ENTERPRISE: "Enterprises",
    ObjectKind.PREFIX: "Prefixes",
    ObjectKind.TEMPLATE: "Templates",
    ObjectKind.APPLICATION: "Applications",
}
_IDS = {
    ObjectKind.ENTERPRISE: "The number of the enterprise.",
    ObjectKind.PREFIX: "The prefix, such as 88.118.8.",
    ObjectKind.TEMPLATE: "Name and version, such as `88.118.8/META_BEARING|1.0`.",
    ObjectKind.APPLICATION: "Whose it is, and its name: `e1|轴承追溯`; `|…` for the node's own.",
}
_MEANINGS = {
    200: "The object as it stands; its ETag is the version",
    201: "It is there now; its ETag is the version",
    304: "It is as the caller has it",
    400: "The request cannot be understood; the detail says why",
    401: "Log in; or the login was not accepted",
    403: "For the operator and the administrators of this server; or somebody else's step",
    404: "There is no such object",
    409: "The object's standing does not allow this step; or the name is taken",
    412: "The object is not at the version of If-Match; `version` is where it is",
    413: "The body is too long",
    415: "The body is not application/json",
    422: "What is handed in breaks a rule: `faults` has them all",
    429: "Too many wrong tries to log in; `Retry-After` says how long to wait",
    503: "The database cannot be reached at the moment",
}
_READING = (400, 401, 403, 429, 503)
_READING_ONE = (*_READING, 404)
_WRITING = (*_READING_ONE, 409, 412, 413, 415, 422)

_LIMIT: JsonObject = {"type": "integer", "minimum": 1, "maximum": MAX_PAGE}
_VERSION: JsonObject = {"type": "integer", "minimum": 1, "maximum": MAX_VERSION}
_IF_MATCH = in_header("If-Match", "Only while the object is at this version: its ETag.")
_ENTERPRISE = in_query("enterprise", "Whose; empty: the node's own.", TEXT)


@dataclass(frozen=True, slots=True)
class _Answers:
    """What an operation may answer."""

    contents: Mapping[int, JsonObject]
    refusals: Iterable[int]
    meanings: Mapping[int, str] = field(default_factory=dict)


def _operation(
    kind: ObjectKind,
    summary: str,
    answers: _Answers,
    parameters: tuple[JsonObject, ...] = (),
    body: JsonObject | None = None,
) -> Operation:
    meanings = {**_MEANINGS, **answers.meanings}
    statuses = (*answers.contents, *sorted(answers.refusals))
    contents: dict[int | str, JsonObject] = {s: refusal_content(s) for s in answers.refusals}
    contents.update((status, content) for status, content in answers.contents.items() if content)
    responses: dict[int | str, str] = {status: meanings[status] for status in statuses}
    return Operation(summary, parameters, responses, body, _TAGS[kind], contents)


def _one(kind: ObjectKind) -> tuple[JsonObject, ...]:
    return (in_path("id", _IDS[kind]),) if kind in _IDS else ()


def _list(kind: ObjectKind, *filters: JsonObject) -> Operation:
    pages = (
        in_query("state", "Those in this state.", {"enum": [*STATES[kind]], **TEXT}),
        in_query("after", "Those after this id; the answer before gives it as `after`.", TEXT),
        in_query("limit", "So many at most; 100 when left out.", _LIMIT),
    )
    answers = _Answers(
        {200: list_content(kind)}, _READING, {200: "The list; `after` when there may be more"}
    )
    summary = f"The {PLURALS[kind]}, in the order of their ids; personal data is masked"
    return _operation(kind, summary, answers, (*filters, *pages))


def _show(kind: ObjectKind) -> Operation:
    personal = in_query("personal", "Show personal data, too; the log says who asked.", FLAG)
    parameters = (
        *_one(kind),
        *((personal,) if has_personal(CLASSES[kind]) else ()),
        in_header("If-None-Match", "The ETag of what the caller has."),
    )
    answers = _Answers({200: held_content(kind), 304: {}}, _READING_ONE)
    return _operation(kind, f"One {kind.value} as it stands", answers, parameters)


def _history(kind: ObjectKind) -> Operation:
    parameters = (
        *_one(kind),
        in_query("after", "Steps after this version.", _VERSION),
        in_query("limit", "So many at most; 100 when left out.", _LIMIT),
    )
    meaning = {200: "The steps, the oldest first; `after` when there may be more"}
    answers = _Answers({200: history_content()}, _READING_ONE, meaning)
    summary = "What was done to it, by whom, from where and why; never personal data"
    return _operation(kind, summary, answers, parameters)


def _begin(
    kind: ObjectKind, summary: str, form: type[Checked], given: object, *more: JsonObject
) -> Operation:
    answers = _Answers({201: held_content(kind)}, _WRITING)
    return _operation(kind, summary, answers, more, body_of(form, given))


def _change(
    kind: ObjectKind,
    summary: str,
    form: type[Checked],
    given: object,
) -> Operation:
    answers = _Answers({200: held_content(kind)}, _WRITING)
    return _operation(kind, summary, answers, (*_one(kind), _IF_MATCH), body_of(form, given))


_E, _P, _T, _A = (
    ObjectKind.ENTERPRISE,
    ObjectKind.PREFIX,
    ObjectKind.TEMPLATE,
    ObjectKind.APPLICATION,
)

LIST_ENTERPRISES = _list(_E)
SHOW_ENTERPRISE, ENTERPRISE_HISTORY = _show(_E), _history(_E)
APPLY_ENTERPRISE = _begin(
    _E,
    "An enterprise applies; the body is its form",
    Entity,
    example("enterprise"),
    in_query("id", "Its number here; made up when left out.", TEXT),
)
STEP_ENTERPRISE = _change(
    _E,
    "Take a step of its life: correct, begin_review, return, approve, reject, disable, enable, reopen",
    EnterpriseStep,
    {"action": "reject", "reason": "营业执照照片不清晰，请重新提交"},
)
VERIFY_ENTERPRISE = _change(
    _E, "Note the result of real-name verification", Verification, example("verification")
)

LIST_PREFIXES = _list(_P, in_query("enterprise", "Those of this enterprise.", TEXT))
SHOW_PREFIX, PREFIX_HISTORY = _show(_P), _history(_P)
APPLY_PREFIX = _begin(
    _P, "An enterprise applies for a prefix", PrefixApplication, example("prefix")
)
STEP_PREFIX = _change(
    _P,
    "Take a step of its life: correct, withdraw, begin_review, return, approve, reject, activate, stop, "
    "mark_for_deletion, restore, remove; what is up to the top-level node is refused",
    PrefixStep,
    {"action": "stop", "reason": "企业申请暂停"},
)
PUT_SITES = _change(
    _P, "Say where the enterprise's own servers answer", PrefixSites, example("sites")
)
STEP_HOSTING = _change(
    _P,
    "Take a step about hosting: apply, withdraw, approve, reject, end",
    HostingStep,
    {"action": "approve", "server": "main"},
)

LIST_TEMPLATES = _list(_T, _ENTERPRISE)
SHOW_TEMPLATE, TEMPLATE_HISTORY = _show(_T), _history(_T)
CREATE_TEMPLATE = _begin(
    _T, "A new version of a template, as a draft", Template, example("template"), _ENTERPRISE
)
PUT_TEMPLATE = _change(
    _T, "Change a draft, or add to what was published", Template, example("template")
)
STEP_TEMPLATE = _change(
    _T, "Take a step of its life: publish, withdraw, delete", TemplateStep, {"action": "publish"}
)

LIST_APPLICATIONS = _list(_A, _ENTERPRISE)
SHOW_APPLICATION, APPLICATION_HISTORY = _show(_A), _history(_A)
REGISTER_APPLICATION = _begin(
    _A, "A new application", Application, example("application"), _ENTERPRISE
)
PUT_APPLICATION = _change(_A, "Change an application in use", Application, example("application"))
STEP_APPLICATION = _change(
    _A, "Take a step of its life: retire, resume", ApplicationStep, {"action": "retire"}
)

SHOW_OPERATOR = _show(ObjectKind.OPERATOR)
PUT_OPERATOR = _change(
    ObjectKind.OPERATOR,
    "Say who runs this node",
    Operator,
    example("operator"),
)
LIST_ROUTES = _operation(
    ObjectKind.ROUTE,
    "Where this node answers",
    _Answers({200: list_content(ObjectKind.ROUTE)}, _READING, {200: "The routes"}),
)
PUT_ROUTES = _operation(
    ObjectKind.ROUTE,
    "Say where this node answers: these routes, and no others",
    _Answers(
        {200: list_content(ObjectKind.ROUTE)}, (*_READING, 409, 413, 415, 422), {200: "The routes"}
    ),
    (),
    body_of(Routes, example("routes")),
)
