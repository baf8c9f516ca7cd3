"""`/api/sessions` and `/api/verifications`: logging in once, and checking keys for other servers."""

import json
import re
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from resolver.authentication import Token
from resolver.keys.macs import Derivation, compute
from resolver.keys.private import KeyKind, make_private, public_half
from resolver.keys.signatures import sign
from resolver.tries import WRONG_TRIES
from resolver.wire import HandleValue, encode_public_key
from tests.support.web import Web

CONFORMANCE = Path(__file__).parents[1] / "conformance"
GOLDEN = {
    vector["name"]: vector
    for vector in json.loads((CONFORMANCE / "handle-golden.json").read_text("utf-8"))["vectors"]
}
SECRET, CNONCE, SALT = b"geheim", b"client nonce", bytes(16)
NAME = "300:88.1/ADMIN"
BASIC = httpx.BasicAuth("300%3A88.1/ADMIN", "geheim")
SESSIONS, THIS = "/api/sessions", "/api/sessions/this"
RSA = make_private(KeyKind.RSA)


@pytest.fixture
def web() -> Web:
    made = Web()
    public = HandleValue(301, b"HS_PUBKEY", encode_public_key(public_half(RSA)))
    made.store.put("88.1/ADMIN", [HandleValue(300, b"HS_SECKEY", SECRET), public])
    return made


@pytest.fixture
async def client(web: Web) -> AsyncIterator[httpx.AsyncClient]:
    async with web.client(secure=True) as opened:
        yield opened


def spell(data: bytes) -> str:
    return b64encode(data).decode()


def fields_for(challenge: dict[str, Any], algorithm: str = "HMAC-SHA256") -> dict[str, Any]:
    """The answer to a challenge, made with the secret key."""
    message = b64decode(challenge["nonce"]) + CNONCE
    derivation = Derivation(SALT)
    mac = compute(SECRET, algorithm, message, derivation)
    fields = {
        "sessionId": challenge["sessionId"],
        "cnonce": spell(CNONCE),
        "id": NAME,
        "type": "HS_SECKEY",
        "alg": algorithm,
        "signature": spell(mac),
    }
    if algorithm.startswith("PBKDF2"):
        fields |= {
            "salt": spell(SALT),
            "iterations": derivation.iterations,
            "length": derivation.bits,
        }
    return fields


def header_of(fields: dict[str, Any]) -> dict[str, str]:
    quoted = {**fields, "id": fields.get("id", "").replace(":", "%3A")}
    return {
        "Authorization": "Handle "
        + ", ".join(f'{name}="{text}"' for name, text in quoted.items() if text)
    }


def named(challenge: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f'Handle sessionId="{challenge["sessionId"]}"'}


def shape(text: str) -> tuple[str, set[str], list[str]]:
    """Status, header names and keys of the body of a recorded reply."""
    head, _, body = text.partition("\r\n\r\n")
    status, *lines = head.split("\r\n")
    names = {line.partition(":")[0].lower() for line in lines}
    return status.split(" ")[1], names, list(json.loads(body)) if body else []


async def test_new_session_looks_as_recorded(client: httpx.AsyncClient) -> None:
    reply = await client.post(SESSIONS, json={})
    status, names, keys = shape(GOLDEN["http_sessions_new"]["response_text"])

    assert str(reply.status_code) == status
    assert names - {"connection", "date"} <= set(reply.headers)
    assert list(reply.json()) == keys
    assert reply.headers["location"] == THIS
    assert len(b64decode(reply.json()["nonce"])) == 16
    assert reply.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "name", ["http_json_create_unauthenticated", "http_json_basic_wrong_password"]
)
async def test_challenge_of_a_401_looks_as_recorded(web: Web, name: str) -> None:
    web.store.load(CONFORMANCE / "handle-fixture.ndjson")
    head, _, body = GOLDEN[name]["request_text"].partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    method, path, _ = first.split(" ")
    headers = dict(line.split(": ", 1) for line in lines if not line.startswith("Connection"))
    async with web.client(secure=True) as client:
        reply = await client.request(method, path, headers=headers, content=body.encode())
    recorded = GOLDEN[name]["response_text"]

    def masked(text: str) -> str:
        return re.sub(r'(sessionId|nonce)="[^"]+"', r'\1="…"', text)

    wanted = re.findall(r"WWW-Authenticate: (.*)\r\n", recorded)
    assert reply.status_code == 401
    offered = [masked(each) for each in reply.headers.get_list("www-authenticate")]
    assert offered == [masked(each) for each in wanted]
    if recorded.partition("\r\n\r\n")[2]:
        assert reply.text == recorded.partition("\r\n\r\n")[2]
    else:  # the reference sends no body; ours serves clients that read JSON on every error
        assert reply.json()["responseCode"] == 403


async def test_session_over_plain_http_is_refused_as_recorded(web: Web) -> None:
    status, _, _ = shape(GOLDEN["http_sessions_plain_http"]["response_text"])
    async with web.client() as stranger:
        replies = [
            await stranger.post(SESSIONS, json={}),
            await stranger.post(SESSIONS, auth=BASIC),
            await stranger.put(THIS, json={}),
            await stranger.get(THIS),
            await stranger.delete(THIS),
        ]

    assert {(str(reply.status_code), reply.content) for reply in replies} == {(status, b"")}


async def test_session_on_this_machine_needs_no_tls(web: Web) -> None:
    async with web.client(peer="127.0.0.1") as local:
        assert (await local.post(SESSIONS, auth=BASIC)).json()["authenticated"]


@pytest.mark.parametrize("algorithm", ["HMAC-SHA256", "HMAC-SHA1", "SHA256", "PBKDF2-HMAC-SHA1"])
async def test_challenge_is_answered_in_the_body_and_the_session_then_carries_requests(
    client: httpx.AsyncClient, algorithm: str
) -> None:
    challenge = (await client.post(SESSIONS)).json()

    reply = await client.put(THIS, json=fields_for(challenge, algorithm))

    assert reply.status_code == 200
    assert reply.json() == {
        "sessionId": challenge["sessionId"],
        "nonce": challenge["nonce"],
        "authenticated": True,
        "id": NAME,
    }
    assert (await client.get(THIS, headers=named(challenge))).json() == reply.json()


async def test_challenge_is_answered_with_a_signature(client: httpx.AsyncClient) -> None:
    challenge = (await client.post(SESSIONS)).json()
    message = b64decode(challenge["nonce"]) + CNONCE
    _, signature = sign(RSA, message, signer=b"88.1/ADMIN")
    fields = fields_for(challenge) | {
        "id": "301:88.1/ADMIN",
        "type": "HS_PUBKEY",
        "alg": "SHA256",
        "signature": spell(signature),
    }

    assert (await client.put(THIS, json=fields)).json()["id"] == "301:88.1/ADMIN"
    forged = fields | {"cnonce": spell(b"another")}
    assert (await client.put(THIS, json=forged)).status_code == 401


async def test_challenge_is_answered_in_the_header_or_in_a_form(client: httpx.AsyncClient) -> None:
    one, two = [(await client.post(SESSIONS)).json() for _ in range(2)]

    in_header = await client.put(THIS, headers=header_of(fields_for(one)))
    in_form = await client.post(THIS, data=fields_for(two))

    assert in_header.json()["authenticated"]
    assert in_form.json()["authenticated"]


async def test_challenge_of_a_401_is_answered_with_the_next_request(
    web: Web, client: httpx.AsyncClient
) -> None:
    asked = await client.get("/api/prefixes")
    offered = asked.headers.get_list("www-authenticate")[1]
    challenge = {
        name: text.strip('"')
        for name, _, text in (part.partition("=") for part in offered[len("Handle ") :].split(", "))
    }
    answered = await client.get("/api/prefixes", headers=header_of(fields_for(challenge)))

    assert asked.status_code == 401
    assert answered.status_code != 401
    assert (await client.get(THIS, headers=named(challenge))).json()["authenticated"]


async def test_wrong_answer_is_401_with_a_new_challenge_and_the_reason(
    client: httpx.AsyncClient,
) -> None:
    challenge = (await client.post(SESSIONS)).json()

    reply = await client.put(THIS, json=fields_for(challenge) | {"signature": spell(b"x" * 32)})

    assert reply.status_code == 401
    assert reply.json()["error"] == "Identity not verified"
    assert reply.json()["sessionId"] != challenge["sessionId"]
    assert f'sessionId="{reply.json()["sessionId"]}"' in reply.headers["www-authenticate"]
    again = await client.put(THIS, json=fields_for(reply.json()))
    assert again.json()["authenticated"]


async def test_password_opens_a_session_at_once(client: httpx.AsyncClient) -> None:
    opened = await client.post(SESSIONS, auth=BASIC)

    assert opened.status_code == 201
    assert opened.json()["id"] == NAME
    assert (await client.get(THIS, headers=named(opened.json()))).json()["authenticated"]
    challenge = (await client.post(SESSIONS)).json()
    body = {"sessionId": challenge["sessionId"]}
    assert (await client.put(THIS, auth=BASIC, json=body)).json()["sessionId"] == body["sessionId"]
    assert (await client.get(THIS, headers=named(challenge))).json()["authenticated"]


async def test_ended_session_is_gone(client: httpx.AsyncClient) -> None:
    opened = (await client.post(SESSIONS, auth=BASIC)).json()

    ended = await client.delete(THIS, headers=named(opened))

    assert (ended.status_code, ended.content) == (204, b"")
    assert (await client.get("/api/prefixes", headers=named(opened))).status_code == 401


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("session", ["", "node01mhr882av3el2pm9zoxrgrgyu3"])
async def test_unknown_session_is_404(client: httpx.AsyncClient, method: str, session: str) -> None:
    reply = await client.request(method, THIS, headers=named({"sessionId": session}))

    assert reply.status_code == 404
    assert reply.json()["responseCode"] == 4


async def test_token_needs_no_session(web: Web, client: httpx.AsyncClient) -> None:
    web.gate.identities.put_token("idnt_x", Token(b"88.1/ADMIN", 300))

    reply = await client.post(SESSIONS, headers={"Authorization": "Bearer idnt_x"})

    assert reply.status_code == 400
    assert web.gate.identities.sessions == {}


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b'{"sessionId": {}}', b'{"cnonce": "?"}', b'{"id": "300:88.1/ADMIN"}'],
)
async def test_unreadable_body_is_400(client: httpx.AsyncClient, body: bytes) -> None:
    reply = await client.put(THIS, content=body, headers={"Content-Type": "application/json"})

    assert reply.status_code == 400
    assert reply.json()["message"]


async def test_server_signs_what_a_client_sends_to_know_who_it_is(
    client: httpx.AsyncClient,
) -> None:
    plain = (await client.post(SESSIONS)).json()
    asked = (await client.post(SESSIONS, json={"cnonce": spell(CNONCE)})).json()

    assert "serverSignature" not in plain
    assert asked["serverAlg"] == "SHA256"
    assert b64decode(asked["serverSignature"]) == b"signed " + b64decode(asked["nonce"]) + CNONCE


async def test_too_many_wrong_answers_are_429(client: httpx.AsyncClient) -> None:
    wrong = httpx.BasicAuth("300%3A88.1/ADMIN", "falsch")

    replies = [await client.post(SESSIONS, auth=wrong) for _ in range(WRONG_TRIES + 1)]

    assert [reply.status_code for reply in replies] == [401] * WRONG_TRIES + [429]
    assert replies[-1].headers["retry-after"] == "60"


async def test_outage_of_the_database_is_503(web: Web, client: httpx.AsyncClient) -> None:
    web.gate.identities.is_down = True

    reply = await client.post(SESSIONS, auth=BASIC)

    assert reply.status_code == 503
    assert reply.headers["retry-after"]


def verification(key: str = NAME, *, secret: bytes = SECRET) -> tuple[str, dict[str, Any]]:
    mac = compute(secret, "PBKDF2-HMAC-SHA1", b"nonce" + CNONCE, Derivation(SALT))
    return f"/api/verifications/{key}", {
        "nonce": spell(b"nonce"),
        "cnonce": spell(CNONCE),
        "alg": "PBKDF2-HMAC-SHA1",
        "signature": spell(mac),
        "salt": spell(SALT),
        "iterations": Derivation(SALT).iterations,
        "length": Derivation(SALT).bits,
    }


async def test_mac_made_with_our_key_is_valid_and_no_other(client: httpx.AsyncClient) -> None:
    async def ask(key: str = NAME, secret: bytes = SECRET) -> Any:
        path, fields = verification(key, secret=secret)
        return (await client.get(path, params=fields)).json()

    assert await ask() == {"responseCode": 1, "isValid": True}
    assert await ask(secret=b"falsch") == {"responseCode": 1, "isValid": False}
    assert await ask("299:88.1/ADMIN") == {"responseCode": 1, "isValid": False}
    assert await ask("300:88.1/NOBODY") == {"responseCode": 1, "isValid": False}


async def test_verification_takes_the_index_apart_and_the_fields_in_a_body(
    client: httpx.AsyncClient,
) -> None:
    path, fields = verification("88.1/ADMIN")

    assert (await client.get(path, params=fields | {"index": 300})).json()["isValid"]
    assert (await client.post(path, json=fields | {"index": 300})).json()["isValid"]


async def test_unreadable_verification_is_400(client: httpx.AsyncClient) -> None:
    path, fields = verification()
    wrong = [
        (path, fields | {"signature": "?"}),
        (path, fields | {"index": 300}),
        (path, fields | {"iterations": "many"}),
        ("/api/verifications/88.1/ADMIN", fields),
        ("/api/verifications/", fields),
        *(
            (path, {k: v for k, v in fields.items() if k != name})
            for name in ("nonce", "cnonce", "alg", "signature")
        ),
    ]

    for place, sent in wrong:
        reply = await client.get(place, params=sent)
        assert (reply.status_code, reply.json()["responseCode"]) == (400, 4), (place, sent)


async def test_verifications_are_limited(client: httpx.AsyncClient) -> None:
    path, fields = verification(secret=b"falsch")

    replies = [await client.get(path, params=fields) for _ in range(WRONG_TRIES + 1)]

    assert replies[-1].status_code == 429
