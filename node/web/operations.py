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
`not_responsible`, `authentication_needed`, `not_permitted`, `unavailable`; and the names of HTTP statuses, for
requests that reach no route."""

JsonObject = dict[str, object]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: a line about it, its parameters, and what its statuses mean."""

    summary: str
    parameters: tuple[JsonObject, ...] = ()
    responses: dict[int | str, str] = field(default_factory=dict)
    body: JsonObject | None = None
    tag: str = "Handle JSON API"

    def extra(self) -> JsonObject:
        """Return the members that FastAPI merges into the document."""
        responses = {str(status): {"description": text} for status, text in self.responses.items()}
        found: JsonObject = {
            "tags": [self.tag],
            "parameters": list(self.parameters),
            "responses": responses,
        }
        if self.body is not None:
            found["requestBody"] = self.body
        return found


def _path(name: str, about: str) -> JsonObject:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": about,
        "schema": {"type": "string"},
    }


def _query(name: str, about: str, schema: JsonObject) -> JsonObject:
    return {"name": name, "in": "query", "description": about, "schema": schema}


_RUNNING = "Running the node"
_TEXT: JsonObject = {"type": "string"}
_FLAG: JsonObject = {"type": "boolean"}
_TYPES = _query(
    "type",
    "Values of this type; repeatable, a union with `index`. `URL.` asks for all below URL too.",
    {"type": "array", "items": {"type": "string"}},
)
_INDEXES = _query(
    "index", "Values with this index; repeatable.", {"type": "array", "items": {"type": "integer"}}
)
_AUTH = _query("auth", "Skip the caches.", _FLAG)
_SCHEME = _query(
    "scheme", "The identifier's scheme; detected when absent.", {"enum": [*Scheme], **_TEXT}
)
_PRETTY = _query("pretty", "Indent the body.", _FLAG)
_CALLBACK = _query("callback", "JSONP: call this function.", _TEXT)
_HANDLE = _path("handle", "The handle, `prefix/suffix`; `?`, `#` and `%` percent-encoded.")
_API_ERRORS: dict[int | str, str] = {
    300: "Code 302 or 303: another server is responsible; its HS_SITE values",
    400: "Code 4, 102 or 301: bad parameter, no handle, or not a prefix of this server",
    403: "Code 402 or 401: some of these values are not public",
    404: "Code 100: no such handle",
    503: "Code 3: the record cannot be read at the moment",
}

SHOW_HANDLE = Operation(
    "A record, or some of its values",
    (
        _HANDLE,
        _TYPES,
        _INDEXES,
        _AUTH,
        _query("publicOnly", "Public values only; true unless said otherwise.", _FLAG),
        _PRETTY,
        _CALLBACK,
    ),
    {200: "Code 1: the values by index; code 200: the record has none of these", **_API_ERRORS},
)
POST_HANDLE = Operation(
    "As GET, with the parameters in the body",
    (_HANDLE,),
    SHOW_HANDLE.responses,
    {
        "content": {
            "application/x-www-form-urlencoded": {"schema": {"type": "object"}},
            "application/json": {"schema": {"type": "object"}},
        }
    },
)
_PUT_BODY: JsonObject = {"required": True, "content": {"application/json": {"schema": {}}}}
_WRITE_ERRORS: dict[int | str, str] = {
    400: "Code 4: the request itself is wrong",
    401: "Code 402: log in (on TLS)",
    403: "Code 402: log in, but not on plain HTTP",
}
PUT_HANDLE = Operation(
    "Create or replace a record, or some of its values", (_HANDLE,), _WRITE_ERRORS, _PUT_BODY
)
DELETE_HANDLE = Operation("Delete a record, or some of its values", (_HANDLE,), _WRITE_ERRORS)
LIST_HANDLES = Operation(
    "The handles of a prefix; for administrators",
    (_query("prefix", "The prefix.", _TEXT), _PRETTY, _CALLBACK),
    {400: "Code 102: neither a handle nor a prefix", **_WRITE_ERRORS},
)
SHOW_SITE = Operation(
    "Where this server is, and its public key", (_PRETTY, _CALLBACK), {200: "The site record"}
)
RESOLVE = Operation(
    "Resolve an identifier of any scheme",
    (_path("identifier", "The identifier in any spelling."), _SCHEME, _TYPES, _INDEXES, _AUTH),
    {
        200: "The values",
        300: "Another server is responsible: its site values",
        400: "The text is no identifier, or fits several schemes",
        404: "No such identifier, or none of these values, or not served here",
        503: "The record cannot be read at the moment",
    },
    tag="Resolution",
)
PROXY = Operation(
    "Go to the identifier's URL, or see its record",
    (
        _HANDLE,
        _SCHEME,
        _TYPES,
        _INDEXES,
        _AUTH,
        _query("noredirect", "Show the record.", _FLAG),
        _query("urlappend", "Text to add to the URL.", _TEXT),
    ),
    {
        200: "The record as a page",
        300: "Another server is responsible",
        302: "The URL value with the lowest index",
        400: "No identifier, or not a prefix of this server",
        404: "No such identifier",
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
