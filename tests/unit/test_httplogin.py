"""Who makes an HTTP request, and over which connections anybody may say so."""

import asyncio
import string
from base64 import b64decode, b64encode
from typing import Any

import pytest

from resolver.authentication import Token
from resolver.authorization import Name, Proof
from resolver.httplogin import HttpLogin, LoginFailed
from resolver.httpsession import CHALLENGE_SECONDS, Challenge, HttpSessions, SessionEnded
from resolver.keys.macs import Derivation, compute
from resolver.labour import MAX_PER_SOURCE
from resolver.observe import Event
from resolver.registrar import Caller
from resolver.tries import WRONG_TRIES
from resolver.wire import HandleValue, ResponseCode
from tests.support.identities import SESSION_SECONDS, Gate

KEY, SECRET = b"88.1/ADMIN", b"geheim"
BASIC = "Basic " + b64encode(b"300%3A88.1/ADMIN:geheim").decode()
WRONG = "Basic " + b64encode(b"300%3A88.1/ADMIN:falsch").decode()
CNONCE = b"client nonce"
SALT = bytes(range(16))


@pytest.fixture
def gate() -> Gate:
    made = Gate()
    made.identities.put("88.1/ADMIN", HandleValue(300, b"HS_SECKEY", SECRET))
    made.identities.put_token("idnt_x", Token(KEY, 300))
    return made


def scope(
    authorization: str | None = None,
    *,
    scheme: str = "https",
    client: tuple[str, int] | None = ("192.0.2.7", 50_000),
    method: str = "PUT",
    **headers: Any,
) -> dict[str, Any]:
    if authorization is not None:
        headers["authorization"] = authorization
    pairs = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]
    return {"scheme": scheme, "client": client, "method": method, "headers": pairs}


def answer_to(
    challenge: Challenge, secret: bytes = SECRET, *, name: str = "300%3A88.1/ADMIN"
) -> str:
    derivation = Derivation(SALT)
    message = b64decode(challenge.nonce) + CNONCE
    mac = compute(secret, "PBKDF2-HMAC-SHA1", message, derivation)
    return (
        f'Handle version="0", sessionId="{challenge.session}", cnonce="{spell(CNONCE)}", id="{name}",'
        f' type="HS_SECKEY", alg="PBKDF2-HMAC-SHA1", signature="{spell(mac)}", salt="{spell(SALT)}",'
        f' iterations="{derivation.iterations}", length="{derivation.bits}"'
    )


def in_session(challenge: Challenge) -> dict[str, Any]:
    return scope(f'Handle sessionId="{challenge.session}"')


def spell(data: bytes) -> str:
    return b64encode(data).decode()


async def refused(login: HttpLogin, asked: dict[str, Any]) -> LoginFailed:
    with pytest.raises(LoginFailed) as caught:
        await login.caller(asked)
    return caught.value


async def test_request_without_credentials_is_nobodys(gate: Gate) -> None:
    assert await gate.login.caller(scope()) is None
    assert await gate.login.caller(scope(scheme="http")) is None


async def test_password_and_token_say_who_asks(gate: Gate) -> None:
    assert await gate.login.caller(scope(BASIC)) == Caller(KEY, 300, "basic")
    assert await gate.login.caller(scope("Bearer idnt_x")) == Caller(KEY, 300, "token")


async def test_wrong_password_is_401_with_both_challenges_and_the_reason(gate: Gate) -> None:
    failed = await refused(gate.login, scope(WRONG))

    assert (failed.status, failed.code) == (401, ResponseCode.AUTHENTICATION_FAILED)
    assert failed.headers[0] == ("WWW-Authenticate", 'Basic realm="handle"')
    assert failed.headers[1][1].startswith('Handle sessionId="')
    assert failed.headers[1][1].endswith(', error="Identity not verified"')


@pytest.mark.parametrize(
    "authorization", [BASIC, WRONG, "Bearer idnt_x", "Nonsense", 'Handle sessionId="x"']
)
async def test_credentials_over_plain_http_are_refused_before_they_are_looked_at(
    gate: Gate, authorization: str
) -> None:
    gate.identities.is_down = True

    failed = await refused(gate.login, scope(authorization, scheme="http"))

    assert (failed.status, failed.code) == (403, ResponseCode.AUTHENTICATION_NEEDED)
    assert "https" in failed.message
    assert failed.headers == ()
    assert gate.counted(Event.LOGIN_FAILED) == 0


@pytest.mark.parametrize(
    ("scheme", "client", "secure"),
    [
        ("https", ("192.0.2.7", 1), True),
        ("https", None, True),
        ("http", ("127.0.0.1", 1), True),
        ("http", ("127.8.8.8", 1), True),
        ("http", ("::1", 1), True),
        ("http", ("::ffff:127.0.0.1", 1), True),
        ("http", ("192.0.2.7", 1), False),
        ("http", ("::ffff:192.0.2.7", 1), False),
        ("http", ("2001:db8::1", 1), False),
        ("http", ("localhost", 1), False),
        ("http", None, False),
    ],
)
def test_connection_is_secure_by_tls_or_from_this_machine(
    gate: Gate, scheme: str, client: tuple[str, int] | None, secure: bool
) -> None:
    assert gate.login.is_secure(scope(scheme=scheme, client=client)) == secure


async def test_setting_allows_plain_http_from_everywhere(gate: Gate) -> None:
    login = HttpLogin(gate.authenticator, gate.sessions, allow_cleartext=True)

    assert await login.caller(scope(BASIC, scheme="http"))
    assert login.challenge(scope(scheme="http"))


async def test_what_a_proxy_says_of_the_client_is_never_believed(gate: Gate) -> None:
    claims: dict[str, Any] = {
        "x_forwarded_proto": "https",
        "x_forwarded_for": "127.0.0.1",
        "forwarded": "for=127.0.0.1;proto=https",
        "x_real_ip": "127.0.0.1",
    }

    assert not gate.login.is_secure(scope(scheme="http", **claims))
    assert (await refused(gate.login, scope(BASIC, scheme="http", **claims))).status == 403


async def test_too_many_wrong_passwords_are_429_with_the_time_to_wait(gate: Gate) -> None:
    for _ in range(WRONG_TRIES):
        await refused(gate.login, scope(WRONG))

    failed = await refused(gate.login, scope(BASIC))

    assert (failed.status, failed.headers) == (429, (("Retry-After", "60"),))
    forged = scope(BASIC, x_forwarded_for="192.0.2.99")
    assert (await refused(gate.login, forged)).status == 429


async def test_proof_is_503_while_too_many_wait_to_be_checked(gate: Gate) -> None:
    asked = scope(answer_to(gate.sessions.challenge()))
    attempts = [gate.login.caller(asked) for _ in range(MAX_PER_SOURCE + 1)]

    *_, failed = await asyncio.gather(*attempts, return_exceptions=True)

    assert isinstance(failed, LoginFailed)
    assert (failed.status, failed.code) == (503, ResponseCode.SERVER_BUSY)
    assert failed.headers == (("Retry-After", "1"),)


async def test_verification_is_503_while_too_many_wait_to_be_checked(gate: Gate) -> None:
    proof = Proof(Name(300, KEY), b"HS_SECKEY", "HMAC-SHA256", b"", b"wrong")
    attempts = [gate.login.verifies(scope(), proof, b"") for _ in range(MAX_PER_SOURCE + 1)]

    *_, failed = await asyncio.gather(*attempts, return_exceptions=True)

    assert isinstance(failed, LoginFailed)
    assert failed.status == 503


@pytest.mark.parametrize(
    "authorization", ["", "Digest x", "Basic !", "Handle id", "Basic " + spell(b"x")]
)
async def test_unreadable_credentials_are_401_with_a_reason(gate: Gate, authorization: str) -> None:
    failed = await refused(gate.login, scope(authorization))

    assert (failed.status, failed.code) == (401, ResponseCode.INVALID_CREDENTIAL)
    assert failed.headers


async def test_two_authorization_headers_are_refused(gate: Gate) -> None:
    asked = scope(BASIC)
    asked["headers"] *= 2

    assert (await refused(gate.login, asked)).status == 401


def test_script_is_not_offered_basic_nor_is_who_came_with_something_else(gate: Gate) -> None:
    def offered(asked: dict[str, Any]) -> list[str]:
        return [text.partition(" ")[0] for _, text in gate.login.challenge(asked)]

    assert offered(scope()) == ["Basic", "Handle"]
    assert offered(scope(BASIC)) == ["Basic", "Handle"]
    assert offered(scope(x_requested_with="XMLHttpRequest")) == ["Handle"]
    assert offered(scope('Handle sessionId="x"')) == ["Handle"]
    assert offered(scope(scheme="http")) == []


@pytest.mark.parametrize(
    "page",
    [
        {"origin": "https://elsewhere.example"},
        {"origin": "null"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site", "origin": "https://node.example"},
    ],
)
async def test_post_of_another_sites_page_is_nobodys(gate: Gate, page: dict[str, Any]) -> None:
    def post(authorization: str, **more: Any) -> dict[str, Any]:
        return scope(authorization, method="POST", host="node.example", **page, **more)

    assert await gate.login.caller(post(BASIC)) is None
    assert await gate.login.caller(post(BASIC, x_requested_with="XMLHttpRequest"))
    assert await gate.login.caller(post("Bearer idnt_x"))  # no browser sends it by itself


@pytest.mark.parametrize(
    "page",
    [
        {},
        {"origin": "https://node.example"},
        {"sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "none"},
    ],
)
async def test_post_of_a_program_or_our_own_page_is_its_senders(
    gate: Gate, page: dict[str, Any]
) -> None:
    assert await gate.login.caller(scope(BASIC, method="POST", host="node.example", **page))


async def test_answer_to_a_challenge_opens_a_session_that_every_worker_honours(gate: Gate) -> None:
    challenge = gate.sessions.challenge()
    other = HttpLogin(gate.authenticator, gate.new_sessions())

    assert await gate.login.caller(in_session(challenge)) is None
    proven = await other.caller(scope(answer_to(challenge)))

    assert proven == Caller(KEY, 300, "challenge")
    assert await gate.login.caller(in_session(challenge)) == Caller(KEY, 300, "session")
    assert await other.caller(in_session(challenge)) == Caller(KEY, 300, "session")


async def test_same_answer_is_taken_again_while_its_session_lives(gate: Gate) -> None:
    challenge = gate.sessions.challenge()
    await gate.login.caller(scope(answer_to(challenge)))

    gate.clock.now += CHALLENGE_SECONDS + 60

    assert await gate.login.caller(scope(answer_to(challenge)))
    gate.clock.now += SESSION_SECONDS
    assert (await refused(gate.login, scope(answer_to(challenge)))).status == 401


async def test_wrong_answer_opens_no_session(gate: Gate) -> None:
    challenge = gate.sessions.challenge()

    failed = await refused(gate.login, scope(answer_to(challenge, b"falsch")))

    assert (failed.status, failed.code) == (401, ResponseCode.AUTHENTICATION_FAILED)
    assert await gate.login.caller(in_session(challenge)) is None


async def test_answer_counts_for_its_own_challenge_only(gate: Gate) -> None:
    one, other = gate.sessions.challenge(), gate.sessions.challenge()
    swapped = answer_to(one).replace(one.session, other.session)

    assert one.nonce != other.nonce
    assert (await refused(gate.login, scope(swapped))).status == 401


async def test_challenge_is_answered_within_its_time_or_not_at_all(gate: Gate) -> None:
    challenge = gate.sessions.challenge()
    gate.clock.now += CHALLENGE_SECONDS + 1

    failed = await refused(gate.login, scope(answer_to(challenge)))

    assert failed.status == 401
    assert "begin a new one" in failed.message


async def test_session_that_is_not_used_ends(gate: Gate) -> None:
    challenge = gate.sessions.challenge()
    await gate.login.caller(scope(answer_to(challenge)))

    gate.clock.now += SESSION_SECONDS - 1
    assert await gate.login.caller(in_session(challenge))
    gate.clock.now += SESSION_SECONDS - 1
    assert await gate.login.caller(in_session(challenge))
    gate.clock.now += SESSION_SECONDS
    assert (await refused(gate.login, in_session(challenge))).status == 401


async def test_session_in_use_is_written_down_once_a_minute(gate: Gate) -> None:
    challenge = gate.sessions.challenge()
    await gate.login.caller(scope(answer_to(challenge)))

    for _ in range(59):
        gate.clock.now += 1
        await gate.login.caller(in_session(challenge))
    assert gate.identities.touched == 0
    gate.clock.now += 1
    await gate.login.caller(in_session(challenge))

    assert gate.identities.touched == 1


async def test_session_ends_with_the_key_that_proved_it(gate: Gate) -> None:
    challenge = gate.sessions.challenge()
    await gate.login.caller(scope(answer_to(challenge)))

    gate.identities.put("88.1/ADMIN", HandleValue(300, b"HS_SECKEY", b"neu"))
    assert (await refused(gate.login, in_session(challenge))).status == 401
    gate.identities.put("88.1/ADMIN")
    assert (await refused(gate.login, in_session(challenge))).status == 401


async def test_ended_session_stays_ended_even_for_its_own_answer(gate: Gate) -> None:
    challenge = gate.sessions.challenge()
    await gate.login.caller(scope(answer_to(challenge)))

    await gate.sessions.close(challenge.session)

    assert (await refused(gate.login, scope(answer_to(challenge)))).status == 401


def spoilt(session: str) -> list[str]:
    last = session[-1]
    near = string.ascii_letters + string.digits + "-_"
    respelled = [session[:-1] + char for char in near if char != last]
    return [
        "",
        "x",
        "node0abc",
        "ä",
        "\ud800",
        session + "=",
        session + "\n",
        session[1:],
        *respelled,
    ]


async def test_only_ids_that_we_made_and_as_we_spell_them_are_sessions(gate: Gate) -> None:
    session = gate.sessions.challenge().session

    for wrong in spoilt(session):
        with pytest.raises(SessionEnded):
            await gate.sessions.caller(wrong)
    foreign: HttpSessions = gate.new_sessions(b"key of another node")
    with pytest.raises(SessionEnded):
        await foreign.caller(session)


async def test_certificate_is_taken_when_it_is_there_and_missed_when_it_is_asked_for(
    gate: Gate,
) -> None:
    asked = scope('Handle clientCert="true"')
    assert "no client certificate" in (await refused(gate.login, asked)).message

    shown = scope() | {"client_certificate": b"rubbish"}
    failed = await refused(gate.login, shown)
    assert (failed.status, failed.code) == (401, ResponseCode.INVALID_CREDENTIAL)
    assert (
        await gate.login.caller(shown | {"method": "POST", "headers": [(b"origin", b"null")]})
        is None
    )
