"""What the OpenAPI document says of the Handle JSON API; the rest is in `operations`."""

from node.web.operations import (
    AUTH,
    FLAG,
    HANDLE,
    INDEXES,
    TEXT,
    TYPES,
    JsonObject,
    Operation,
    Responses,
    in_header,
    in_query,
)
from resolver.frontends.listing import DEFAULT_LIMIT, MAX_LISTED
from resolver.precondition import MAX_KEY_CHARACTERS


def _pattern(parameter: JsonObject, pattern: str) -> JsonObject:
    """Return a parameter whose text must match."""
    return {**parameter, "schema": {**TEXT, "pattern": pattern}}


_PRETTY = in_query("pretty", "Indent the body.", FLAG)
_CALLBACK = in_query("callback", "JSONP: call this function. Such a request is a stranger's.", TEXT)
_NUMBER: JsonObject = {"type": "integer", "minimum": 0}
_BUSY: Responses = {503: "Code 3: the database cannot be reached at the moment; try again"}
_LOGIN: Responses = {
    401: "Code 402: log in; code 403 or 404: the login was not accepted",
    403: "Code 400 or 401: no right to this; code 402: log in, but not over plain HTTP",
    429: "Code 403: too many wrong tries to log in; `Retry-After` says how long to wait",
}
_READ: Responses = {
    200: "Code 1: the values by index; code 200: the record has none of these",
    300: "Code 302 or 303: another server is responsible; its HS_SITE values",
    304: "The record is at the version of If-None-Match",
    400: "Code 4, 102 or 301: bad parameter, no handle, or not a prefix of this server",
    404: "Code 100: no such handle",
    **_LOGIN,
    **_BUSY,
}
_LIST: Responses = {
    200: "The names; `next` when there are more",
    400: "Code 4, 102 or 301: bad parameter, no prefix, or not one of this server",
    **_LOGIN,
    **_BUSY,
}
_WRITE: Responses = {
    400: "Code 4: the request itself is wrong; code 102, 202 or 301: the handle, a value or the prefix is;"
    " code 200: the record has none of these values",
    404: "Code 100: no such handle",
    412: "Code 4: the record is not as If-Match or If-None-Match wants it; the ETag says how it is",
    **_LOGIN,
    **_BUSY,
}
_TERMS = (
    _pattern(
        in_header("If-Match", "Only when the record is at this version, its ETag; `*`: at any."),
        r'^("[1-9][0-9]{0,8}"|\*)$',
    ),
    _pattern(in_header("If-None-Match", "`*`: only when there is no record."), r"^\*$"),
    _pattern(
        in_header(
            "Idempotency-Key", "The same write with the same key within a day is told the same."
        ),
        f"^[!-~]{{1,{MAX_KEY_CHARACTERS}}}$",
    ),
    in_header("X-Idnode-Reason", "Why, percent-encoded; it goes into the history."),
)
_REASON = in_query("reason", "Why, for who cannot set X-Idnode-Reason.", TEXT)
_FORM = (_PRETTY, _CALLBACK)
_PAGES = (
    in_query("page", "The page, from 0; with `pageSize`.", _NUMBER),
    in_query("pageSize", f"Names of a page, at most {MAX_LISTED}; 0 only counts.", _NUMBER),
    in_query("after", "Names after this one: `next` of the answer before.", TEXT),
    in_query("limit", f"So many at most; {DEFAULT_LIMIT} when only `after` is given.", _NUMBER),
)
_REFERENCE: JsonObject = {
    "type": "object",
    "required": ["handle", "index"],
    "properties": {"handle": TEXT, "index": {"type": "integer", "minimum": 0}},
}
_DATA: JsonObject = {
    "oneOf": [
        TEXT,
        {
            "type": "object",
            "required": ["format", "value"],
            "properties": {
                "format": {"enum": ["string", "base64", "hex", "admin", "vlist", "site", "key"]},
                "value": {},
            },
        },
    ]
}
_VALUE: JsonObject = {
    "type": "object",
    "required": ["index", "type", "data"],
    "properties": {
        "index": {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
        "type": {"type": "string", "minLength": 1},
        "data": _DATA,
        "permissions": {"type": "string", "pattern": "^[01]{4}$"},
        "ttl": {
            "oneOf": [
                {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
                {"type": "string", "format": "date-time"},
            ]
        },
        "references": {"type": "array", "items": _REFERENCE},
    },
}
_VALUES: JsonObject = {"type": "array", "items": _VALUE, "maxItems": 2048}
_PUT_BODY: JsonObject = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "anyOf": [
                    _VALUES,
                    _VALUE,
                    {
                        "type": "object",
                        "required": ["values"],
                        "properties": {"handle": TEXT, "values": _VALUES},
                    },
                ]
            }
        }
    },
}
_PARAMETERS_BODY: JsonObject = {
    "content": {
        "application/x-www-form-urlencoded": {"schema": {"type": "object"}},
        "application/json": {"schema": {"type": "object"}},
    }
}

SHOW_HANDLE = Operation(
    "A record, or some of its values",
    (
        HANDLE,
        TYPES,
        INDEXES,
        AUTH,
        in_query(
            "publicOnly", "Public values only; true for a stranger unless said otherwise.", FLAG
        ),
        in_query("doNotRefer", "Do not say who else is responsible.", FLAG),
        *_FORM,
        in_header("If-None-Match", "The ETag of what the caller has."),
    ),
    _READ,
)
POST_HANDLE = Operation(
    "As GET, with the parameters in the body",
    (HANDLE,),
    {**_READ, 413: "The body is too long"},
    _PARAMETERS_BODY,
)
PUT_HANDLE = Operation(
    "Create or replace a record; with `index`, add or replace some of its values",
    (
        HANDLE,
        in_query(
            "index",
            "The indexes of the values in the body, repeatable, or `various`: the others stay as they are.",
            {"type": "array", "items": TEXT},
        ),
        in_query("overwrite", "Replace what is there; true unless said otherwise.", FLAG),
        in_query(
            "mintNewSuffix", "The path is a prefix, or the start of a handle: append a UUID.", FLAG
        ),
        _REASON,
        *_FORM,
        *_TERMS,
    ),
    {
        200: "Replaced; the ETag is the new version",
        201: "Created; nothing has been replaced",
        409: "Code 101 or 201: there is such a record, or such a value, already",
        413: "The body is too long",
        **_WRITE,
    },
    _PUT_BODY,
)
DELETE_HANDLE = Operation(
    "Delete a record; with `index`, remove some of its values",
    (HANDLE, INDEXES, _REASON, *_FORM, *_TERMS),
    {200: "Deleted, or removed", **_WRITE},
)
LIST_HANDLES = Operation(
    "The handles of a prefix; for who has the list right",
    (in_query("prefix", "The prefix.", TEXT), *_PAGES, *_FORM),
    _LIST,
)
SHOW_SITE = Operation(
    "Where this server is, and its public key",
    _FORM,
    {200: "The site record", 400: "Code 4: bad parameter"},
)
LIST_PREFIXES = Operation(
    "The prefixes that are homed here; for server administrators",
    (*_PAGES, *_FORM),
    {**_LIST, 405: "A prefix was given; there is nothing to read of one"},
)
_PREFIX = in_query("prefix", "The prefix.", TEXT)
_HOMED: Responses = {
    400: "Code 4, 102 or 301: bad parameter, no prefix, or not one of this server",
    **_LOGIN,
    **_BUSY,
}
HOME_PREFIX = Operation(
    "Answer for a prefix from now on; for server administrators",
    (_PREFIX, _REASON),
    {
        200: "It is homed here already",
        201: "It is homed here now",
        413: "The body is too long",
        **_HOMED,
    },
    _PARAMETERS_BODY,
)
UNHOME_PREFIX = Operation(
    "Answer for a prefix no more; its records stay",
    (_PREFIX, _REASON),
    {200: "It is not homed here any more", **_HOMED},
)
