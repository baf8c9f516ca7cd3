"""Operations: what the OpenAPI document says of each route; `routes` puts each beside its path.

The routes read their requests themselves (raw path, repeated parameters), so this is written by hand, and a test
compares it with what the routes do.
"""

from dataclasses import dataclass, field

from resolver.identifier import Scheme

ABOUT = """Resolves industrial identifiers: Handle / VAA (`86.*`, `88.*`), DOI, Ecode, OID, GS1 and DID.

`/api/handles/` is the Handle JSON API; `/v1/` is ours, with problem documents (RFC 9457) on errors; `/{identifier}`
sends a browser to the record's URL.  The native Handle protocol is answered on its own port, and here to a POST of
`application/x-hdl-message`.

Kinds of problems (`type` is `/docs#kind`): `bad_request`, `invalid_identifier`, `no_such_handle`, `no_such_value`,
`not_responsible`, `gone`, `authentication_needed`, `not_permitted`, `unavailable`; of writes also `login_failed`,
`record_exists`, `value_exists`, `invalid_value`, `condition_failed`, `not_supported`, `unsupported_media_type`; of
look-ups of many `too_many_items`, in reverse `too_broad`; of bulk work `no_such_job`, `no_results`, `no_such_export`,
`content_too_large`, `insufficient_storage`; of tokens `no_such_token`; of the audit log `no_such_record`; of
enterprises and what is theirs `no_such_object`, `object_exists`, `rule_broken`, `step_refused`, `step_not_yours`;
of photos `no_such_file`, `file_exists`; of the sync `not_sending`, `not_signed`, `not_offered`; and the names of HTTP
statuses, for requests that reach no route."""

JsonObject = dict[str, object]
Responses = dict[int | str, str]

UNREADABLE: Responses = {400: "The request cannot be understood; the detail says why"}
OPERATOR_PROBLEMS: Responses = {
    401: "Log in; or the login was not accepted",
    403: "For the operator and the administrators of this server; or a login over plain HTTP",
    503: "The database cannot be reached at the moment",
}
"""Of every operation that is for operators alone."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: a line about it, its parameters, and what its statuses mean."""

    summary: str
    parameters: tuple[JsonObject, ...] = ()
    responses: Responses = field(default_factory=dict)
    body: JsonObject | None = None
    tag: str = "Handle JSON API"
    contents: dict[int | str, JsonObject] = field(default_factory=dict)  # of the responses

    def extra(self) -> JsonObject:
        """Return the members that FastAPI merges into the document."""
        responses = {
            str(status): {"description": text, **self._content(status)}
            for status, text in self.responses.items()
        }
        found: JsonObject = {
            "tags": [self.tag],
            "parameters": list(self.parameters),
            "responses": responses,
        }
        if self.body is not None:
            found["requestBody"] = self.body
        return found

    @property
    def usual_status(self) -> int:
        """The status of what goes well, which the framework would take for 200."""
        return min(int(status) for status in self.responses)

    def _content(self, status: int | str) -> JsonObject:
        return {"content": self.contents[status]} if status in self.contents else {}


def in_path(name: str, about: str) -> JsonObject:
    """Return a parameter in the path."""
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": about,
        "schema": {"type": "string"},
    }


def in_header(name: str, about: str) -> JsonObject:
    """Return a header that the operation reads."""
    return {"name": name, "in": "header", "description": about, "schema": {"type": "string"}}


def in_query(name: str, about: str, schema: JsonObject) -> JsonObject:
    """Return a parameter in the query."""
    return {"name": name, "in": "query", "description": about, "schema": schema}


_RUNNING = "Running the node"
TEXT: JsonObject = {"type": "string"}
FLAG: JsonObject = {"type": "boolean"}
_VERSION: JsonObject = {"type": "integer", "minimum": 1, "maximum": 2**31 - 1}
TYPES = in_query(
    "type",
    "Values of this type; repeatable, a union with `index`. `URL.` asks for all below URL too.",
    {"type": "array", "items": {"type": "string"}},
)
INDEXES = in_query(
    "index", "Values with this index; repeatable.", {"type": "array", "items": {"type": "integer"}}
)
AUTH = in_query("auth", "Skip the caches.", FLAG)
_SCHEME = in_query(
    "scheme", "The identifier's scheme; detected when absent.", {"enum": [*Scheme], **TEXT}
)
HANDLE = in_path("handle", "The handle, `prefix/suffix`; `?`, `#` and `%` percent-encoded.")
RESOLVE = Operation(
    "Resolve an identifier of any scheme",
    (in_path("identifier", "The identifier in any spelling."), _SCHEME, TYPES, INDEXES, AUTH),
    {
        200: "The values",
        300: "Another server is responsible: its site values",
        400: "The text is no identifier, or fits several schemes",
        404: "No such identifier, or none of these values, or not served here",
        410: "The record was deleted: `at` and `reason`",
        503: "The record cannot be read at the moment",
    },
    tag="Resolution",
)
PROXY = Operation(
    "Go to the identifier's URL, or see its record",
    (
        HANDLE,
        _SCHEME,
        TYPES,
        INDEXES,
        AUTH,
        in_query("noredirect", "Show the record.", FLAG),
        in_query("urlappend", "Text to add to the URL.", TEXT),
    ),
    {
        200: "The record as a page",
        300: "Another server is responsible",
        302: "The URL value with the lowest index",
        400: "No identifier, or not a prefix of this server",
        404: "No such identifier",
        410: "The record was deleted",
        503: "The record cannot be read at the moment",
    },
    tag="Resolution",
)
ALIVE = Operation("The process answers", (), {200: "It does"}, tag=_RUNNING)
READY = Operation(
    "Whether to send work here",
    (),
    {200: "Ready", 503: "Not ready; the checks say why"},
    tag=_RUNNING,
)
METRICS = Operation("Prometheus metrics", (), {200: "The text format"}, tag=_RUNNING)

_RECORDS = "Records"
_ANY_IDENTIFIER = in_path("identifier", "The identifier in any spelling, of any scheme.")
_REASON = in_query("reason", "Why, in one line; it goes into the history.", TEXT)
_TERMS: tuple[JsonObject, ...] = (
    in_header("If-Match", "Only while the record is at this version: its ETag, or `*` for any."),
    in_header("If-None-Match", "`*`: only while there is no record."),
    in_header("Idempotency-Key", "The same write with the same key within a day is told the same."),
)
_WRITE_TERMS = (_ANY_IDENTIFIER, _SCHEME, _REASON, *_TERMS)
_VALUES_BODY: JsonObject = {
    "required": True,
    "content": {"application/json": {"schema": {"type": ["array", "object"]}}},
}
_READ_PROBLEMS: Responses = {
    400: "A parameter, or the identifier, cannot be read",
    401: "Log in first, or the login was not accepted",
    403: "The caller may not; or credentials came over plain HTTP from another machine",
    404: "No such record; or its prefix is not served here",
    429: "Too many wrong tries to log in; `Retry-After` says how long to wait",
    503: "The database cannot be reached at the moment",
}
_WRITE_PROBLEMS: Responses = {
    **_READ_PROBLEMS,
    404: "No such record or value; or its prefix is not served here",
    409: "There is such a record or value already",
    412: "The record is not at the version of If-Match; `version` is where it is",
}
_VALUES_PROBLEMS: Responses = {
    **_WRITE_PROBLEMS,
    413: "The body is too long",
    415: "The body is not application/json",
}
_WRITTEN: Responses = {200: "Replaced; the ETag is the new version", 201: "Created"}
SHOW_RECORD = Operation(
    "A record with all values that the caller may read, and its version",
    (_ANY_IDENTIFIER, _SCHEME, in_header("If-None-Match", "The ETag of what the caller has.")),
    {
        200: "The values; the ETag is the version",
        304: "It is as the caller has it",
        **_READ_PROBLEMS,
        410: "The record was deleted: `at` and `reason`",
    },
    tag=_RECORDS,
)
PUT_RECORD = Operation(
    "Create or replace a record; the body is its values, or an object with `values`",
    (
        *_WRITE_TERMS,
        in_query("overwrite", "Replace a record that is there; true unless said otherwise.", FLAG),
        in_query("mint", "Append a UUID to the identifier, or to the prefix.", FLAG),
    ),
    {**_WRITTEN, **_VALUES_PROBLEMS},
    _VALUES_BODY,
    tag=_RECORDS,
)
PATCH_RECORD = Operation(
    "Add, modify or remove values: one of `add`, `modify` (lists of values) and `remove` (a list of indexes)",
    _WRITE_TERMS,
    {**_WRITTEN, **_VALUES_PROBLEMS},
    _VALUES_BODY,
    tag=_RECORDS,
)
DELETE_RECORD = Operation(
    "Delete a record; a tombstone with the reason stays",
    _WRITE_TERMS,
    {200: "Deleted", **_WRITE_PROBLEMS},
    tag=_RECORDS,
)
LIST_RECORDS = Operation(
    "The names under a prefix, in the order of their keys",
    (
        in_query("prefix", "The prefix.", TEXT),
        in_query("after", "Names after this; the answer before gives it as `after`.", TEXT),
        in_query("limit", "So many at most.", {"type": "integer", "minimum": 1, "maximum": 1_000}),
        in_query("count", "Count them all, as `total`.", FLAG),
    ),
    {200: "The names; `after` when there are more", **_READ_PROBLEMS},
    tag=_RECORDS,
)
SHOW_HISTORY = Operation(
    "What was done to a record, by whom, from where and why; the newest first, secret keys left out",
    (
        _ANY_IDENTIFIER,
        _SCHEME,
        in_query("before", "Revisions before this version.", _VERSION),
        in_query("limit", "So many at most.", {"type": "integer", "minimum": 1, "maximum": 100}),
    ),
    {200: "The revisions; `before` when there may be older ones", **_READ_PROBLEMS},
    tag=_RECORDS,
)
REVERT_RECORD = Operation(
    "Make a record what it was at a version",
    (*_WRITE_TERMS, in_query("version", "The version.", _VERSION)),
    {**_WRITTEN, **_WRITE_PROBLEMS},
    tag=_RECORDS,
)
