"""What the OpenAPI document says of sessions, verifications and tokens; the rest is in `operations`."""

from node.registry.tokens import MAX_DAYS, MAX_NAME_CHARACTERS, MAX_PREFIXES
from node.web.operations import FLAG, TEXT, JsonObject, Operation, Responses, in_path, in_query
from resolver.registrar import Scope

_SESSIONS = "Logging in"
_NAMES = "sessionId cnonce id type alg signature salt iterations length clientCert version"
_FIELDS: JsonObject = {
    "type": "object",
    "description": "The fields of the header `Authorization: Handle …`.",
    "properties": dict.fromkeys(_NAMES.split(), TEXT),
}
_BODY: JsonObject = {
    "content": {
        "application/json": {"schema": _FIELDS},
        "application/x-www-form-urlencoded": {"schema": _FIELDS},
    }
}
_ERRORS: Responses = {
    400: "Code 4: the body cannot be read, or a token was sent, which needs no session",
    401: "Code 403 or 404: the credentials prove nobody; the body holds a new challenge",
    403: "Sessions need TLS, or a client on this machine; the body is empty",
    413: "Code 4: the body is too long",
    429: "Code 403: too many wrong tries; `Retry-After` says how long to wait",
    503: "Code 3: the database cannot be reached at the moment; try again",
}
_GONE: Responses = {404: "Code 4: there is no such session"}

CREATE_SESSION = Operation(
    "Begin a session: a challenge to answer, or a session at once for credentials that come along",
    (),
    {201: "`sessionId` and `nonce`; `authenticated` and `id` when somebody was proven", **_ERRORS},
    _BODY,
    _SESSIONS,
)
ANSWER_SESSION = Operation(
    "Answer the challenge of a session",
    (),
    {200: "As for a new session", **_ERRORS},
    _BODY,
    _SESSIONS,
)
SHOW_SESSION = Operation(
    "Whether a session lives, and for whom",
    (),
    {200: "As for a new session", **_ERRORS, **_GONE},
    tag=_SESSIONS,
)
END_SESSION = Operation(
    "End a session", (), {204: "It is ended", **_ERRORS, **_GONE}, tag=_SESSIONS
)
VERIFY = Operation(
    "Whether a MAC was made with a secret key that is held here",
    (
        in_path("handle", "The key, `index:handle`; or the handle alone, with `index`."),
        in_query("index", "Which value holds the key.", {"type": "integer"}),
        in_query("nonce", "What was asked, base64.", TEXT),
        in_query("cnonce", "What the client added, base64.", TEXT),
        in_query("alg", "HMAC-SHA256, HMAC-SHA1, PBKDF2-HMAC-SHA1, SHA256.", TEXT),
        in_query("signature", "The MAC, base64.", TEXT),
        in_query("salt", "Of PBKDF2, base64.", TEXT),
        in_query("iterations", "Of PBKDF2.", TEXT),
        in_query("length", "Of the key that PBKDF2 makes, in bits.", TEXT),
        in_query("pretty", "Indent the body.", FLAG),
    ),
    {
        200: "Code 1: `isValid`; false as well when there is no such key",
        400: "Code 4: a field is missing or cannot be read",
        401: "Code 403 or 404: the request brings a login that proves nobody",
        429: "Code 403: too many that were not valid",
        503: "Code 3: the database cannot be reached at the moment; try again",
    },
    tag=_SESSIONS,
)

_TOKENS = "API tokens"
_TOKEN_BODY: JsonObject = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["name"],
                "additionalProperties": False,
                "properties": {
                    "name": {"type": "string", "minLength": 1, "maxLength": MAX_NAME_CHARACTERS},
                    "owner": {"type": "string", "description": "A key, such as 300:88.118/ADMIN."},
                    "scopes": {"type": "array", "items": {"enum": [*Scope]}},
                    "prefixes": {"type": "array", "items": TEXT, "maxItems": MAX_PREFIXES},
                    "days": {"type": "integer", "minimum": 0, "maximum": MAX_DAYS},
                    "operator": FLAG,
                },
            }
        }
    },
}
_TOKEN_PROBLEMS: Responses = {
    400: "The request cannot be understood; the detail says why",
    401: "Log in; or the login was not accepted",
    403: "For the operator and the administrators of this server; or a login over plain HTTP",
    429: "Too many wrong tries to log in",
    503: "The database cannot be reached at the moment",
}
LIST_TOKENS = Operation(
    "All API tokens, without their texts", (), {200: "The tokens", **_TOKEN_PROBLEMS}, tag=_TOKENS
)
MAKE_TOKEN = Operation(
    "Make an API token",
    (),
    {201: "The token; it is shown this once", 413: "The body is too long", **_TOKEN_PROBLEMS},
    _TOKEN_BODY,
    _TOKENS,
)
REVOKE_TOKEN = Operation(
    "Revoke an API token",
    (in_path("token", "Its id, or its name."),),
    {204: "It counts for nothing from now on", 404: "There is no such token", **_TOKEN_PROBLEMS},
    tag=_TOKENS,
)
