"""Who is proven, and what whoever is not proven learns of it."""

import asyncio
import logging
import ssl
from collections.abc import Awaitable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from resolver.authentication import MAX_KEYS, AuthenticationFailed, Token
from resolver.authorization import Name, Proof
from resolver.keys.certificates import Authority
from resolver.keys.macs import Derivation, compute
from resolver.keys.private import KeyKind, PrivateKey, make_private, public_half
from resolver.keys.proof import answer_public, answer_secret
from resolver.keys.signatures import sign
from resolver.labour import MAX_AT_ONCE, MAX_PER_SOURCE, Overworked
from resolver.observe import Event
from resolver.registrar import Caller, Scope
from resolver.source import SourceUnavailable
from resolver.tries import WRONG_TRIES
from resolver.wire import ChallengeAnswer, HandleValue, ResponseCode, encode_public_key
from tests.support.identities import Gate

ADMIN, KEY = "88.1/Admin", b"88.1/ADMIN"
SECRET, ORIGIN = b"geheim", "tcp 192.0.2.7"
CHALLENGE = b"nonce and digest"
SALT = bytes(16)


def secret(index: int, data: bytes = SECRET) -> HandleValue:
    return HandleValue(index, b"HS_SECKEY", data)


@pytest.fixture
def gate() -> Gate:
    made = Gate()
    made.identities.put(ADMIN, secret(300), secret(301, b"other"), HandleValue(1, b"URL", SECRET))
    return made


async def failure(attempt: Awaitable[object]) -> AuthenticationFailed:
    with pytest.raises(AuthenticationFailed) as caught:
        await attempt
    return caught.value


async def test_password_is_the_bytes_of_the_secret_key_at_the_index(gate: Gate) -> None:
    caller = await gate.authenticator.password(KEY, 300, SECRET, ORIGIN)

    assert caller == Caller(KEY, 300, "basic")


async def test_index_0_is_any_secret_key_of_the_handle_and_the_caller_has_the_true_one(
    gate: Gate,
) -> None:
    assert (await gate.authenticator.password(KEY, 0, b"other", ORIGIN)).index == 301


@pytest.mark.parametrize(
    ("handle", "index", "password"),
    [
        (KEY, 300, b"falsch"),
        (KEY, 300, SECRET + b"x"),
        (KEY, 300, b""),
        (KEY, 301, SECRET),
        (KEY, 1, SECRET),  # not a key
        (KEY, 999, SECRET),
        (KEY, 0, b"falsch"),
        (b"88.1/NOBODY", 300, SECRET),
        (b"no handle at all/", 300, SECRET),
        (b"\xff", 300, SECRET),
    ],
)
async def test_whoever_proves_nothing_is_told_the_same(
    gate: Gate, handle: bytes, index: int, password: bytes
) -> None:
    failed = await failure(gate.authenticator.password(handle, index, password, ORIGIN))

    assert (failed.code, failed.message) == (403, "Identity not verified")
    assert failed.retry_after == 0
    assert gate.counted(Event.LOGIN_FAILED) == 1


async def test_empty_secret_key_proves_nothing(gate: Gate) -> None:
    gate.identities.put("88.1/EMPTY", secret(300, b""))
    empty = answer_secret(b"", CHALLENGE, form=0x13, salt=SALT)
    answer = ChallengeAnswer(b"HS_SECKEY", b"88.1/EMPTY", 300, empty)

    await failure(gate.authenticator.password(b"88.1/EMPTY", 300, b"", ORIGIN))
    await failure(gate.authenticator.challenge_answer(answer, CHALLENGE, ORIGIN))


async def test_only_so_many_keys_are_tried_for_index_0(gate: Gate) -> None:
    keys = [secret(index, b"%d" % index) for index in range(1, MAX_KEYS + 2)]
    gate.identities.put("88.1/MANY", *keys)

    await gate.authenticator.password(b"88.1/MANY", 0, b"%d" % MAX_KEYS, ORIGIN)
    await failure(gate.authenticator.password(b"88.1/MANY", 0, b"%d" % (MAX_KEYS + 1), ORIGIN))


@pytest.mark.parametrize("form", [0x22, 0x13, 0x12, 0x03])
async def test_answer_made_with_a_secret_key_proves_it(gate: Gate, form: int) -> None:
    made = answer_secret(SECRET, CHALLENGE, form=form, salt=SALT)
    answer = ChallengeAnswer(b"HS_SECKEY", ADMIN.encode(), 300, made)

    caller = await gate.authenticator.challenge_answer(answer, CHALLENGE, ORIGIN, means="login")

    assert caller == Caller(KEY, 300, "login")
    failed = await failure(gate.authenticator.challenge_answer(answer, b"another", ORIGIN))
    assert failed.code == ResponseCode.AUTHENTICATION_FAILED


@pytest.mark.parametrize("form", [0x01, 0x02])
async def test_weak_answer_is_taken_where_the_setting_says_so(gate: Gate, form: int) -> None:
    made = answer_secret(SECRET, CHALLENGE, form=form, salt=SALT)
    answer = ChallengeAnswer(b"HS_SECKEY", KEY, 300, made)
    lenient = Gate(allow_weak=True)
    lenient.identities.values = gate.identities.values

    failed = await failure(gate.authenticator.challenge_answer(answer, CHALLENGE, ORIGIN))
    caller = await lenient.authenticator.challenge_answer(answer, CHALLENGE, ORIGIN)

    assert failed.code == ResponseCode.INVALID_CREDENTIAL
    assert "too weak" in failed.message
    assert caller.index == 300


@pytest.mark.parametrize("kind", KeyKind)
async def test_signature_proves_a_public_key_at_its_index_or_at_any(
    gate: Gate, kind: KeyKind
) -> None:
    private = make_private(kind)
    public = HandleValue(200, b"HS_PUBKEY", encode_public_key(public_half(private)))
    gate.identities.put(ADMIN, secret(300), public)
    made = answer_public(private, CHALLENGE, signer=ADMIN.encode())

    for index in (200, 0):
        answer = ChallengeAnswer(b"HS_PUBKEY", ADMIN.encode(), index, made)
        caller = await gate.authenticator.challenge_answer(answer, CHALLENGE, ORIGIN)
        assert caller == Caller(KEY, 200, "challenge")
    wrong = ChallengeAnswer(b"HS_PUBKEY", ADMIN.encode(), 300, made)  # a secret key
    assert (
        await failure(gate.authenticator.challenge_answer(wrong, CHALLENGE, ORIGIN))
    ).code == ResponseCode.INVALID_CREDENTIAL


@pytest.mark.parametrize(("handle", "index"), [(b"88.1/NOBODY", 300), (KEY, 999)])
async def test_native_answer_for_a_key_that_is_not_there_is_an_invalid_credential(
    gate: Gate, handle: bytes, index: int
) -> None:
    made = answer_secret(SECRET, CHALLENGE, form=0x13, salt=SALT)
    answer = ChallengeAnswer(b"HS_SECKEY", handle, index, made)

    failed = await failure(gate.authenticator.challenge_answer(answer, CHALLENGE, ORIGIN))

    assert failed.code == ResponseCode.INVALID_CREDENTIAL


@pytest.mark.parametrize("handle", [KEY, b"88.1/NOBODY"])
async def test_unreadable_answer_looks_the_same_whether_there_is_a_key(
    gate: Gate, handle: bytes
) -> None:
    proof = Proof(Name(300, handle), b"HS_SECKEY", "CRC32", b"", b"x")

    failed = await failure(gate.authenticator.named_proof(proof, CHALLENGE, ORIGIN))

    assert failed.code == ResponseCode.INVALID_CREDENTIAL
    assert "CRC32" in failed.message


async def test_value_that_holds_no_readable_key_proves_nothing(gate: Gate) -> None:
    gate.identities.put(ADMIN, HandleValue(200, b"HS_PUBKEY", b"rubbish"))
    answer = ChallengeAnswer(b"HS_PUBKEY", KEY, 200, b"rubbish")

    failed = await failure(gate.authenticator.challenge_answer(answer, CHALLENGE, ORIGIN))

    assert failed.code == ResponseCode.INVALID_CREDENTIAL


async def test_other_kinds_of_keys_are_refused(gate: Gate) -> None:
    answer = ChallengeAnswer(b"HS_CERT", KEY, 300, b"")

    failed = await failure(gate.authenticator.challenge_answer(answer, CHALLENGE, ORIGIN))

    assert failed.code == ResponseCode.INVALID_CREDENTIAL


async def test_named_signature_proves_a_public_key(gate: Gate) -> None:
    private = make_private(KeyKind.RSA)
    gate.identities.put(
        ADMIN, HandleValue(200, b"HS_PUBKEY", encode_public_key(public_half(private)))
    )
    _, signature = sign(private, CHALLENGE, signer=KEY)
    proof = Proof(Name(200, ADMIN.encode()), b"HS_PUBKEY", "SHA-256", b"", signature)

    assert await gate.authenticator.named_proof(proof, CHALLENGE, ORIGIN) == Caller(
        KEY, 200, "challenge"
    )


def certificate_of(private: PrivateKey, identity: str, directory: Path) -> bytes:
    now = datetime.now(UTC)
    pem = Authority.load_or_make(directory, now).issue(identity, private, now, 1)
    return ssl.PEM_cert_to_DER_cert(pem.decode())


async def test_certificate_proves_the_public_key_that_it_holds(gate: Gate, tmp_path: Path) -> None:
    private, other = make_private(KeyKind.RSA), make_private(KeyKind.RSA)
    gate.identities.put(
        ADMIN, HandleValue(200, b"HS_PUBKEY", encode_public_key(public_half(private)))
    )

    for identity in ("200:88.1/admin", "88.1/ADMIN"):
        der = certificate_of(private, identity, tmp_path)
        caller = await gate.authenticator.certificate(der, ORIGIN)
        assert caller == Caller(KEY, 200, "certificate")
    for der, code in (
        (certificate_of(other, "200:88.1/ADMIN", tmp_path), 403),
        (certificate_of(private, "201:88.1/ADMIN", tmp_path), 403),
        (certificate_of(private, "200:88.1/NOBODY", tmp_path), 403),
        (b"rubbish", 404),
    ):
        assert (await failure(gate.authenticator.certificate(der, ORIGIN))).code == code


async def test_wrong_tries_are_refused_after_a_while_even_with_the_right_password(
    gate: Gate,
) -> None:
    for _ in range(WRONG_TRIES):
        await failure(gate.authenticator.password(KEY, 300, b"falsch", ORIGIN))

    refused = await failure(gate.authenticator.password(KEY, 300, SECRET, ORIGIN))
    other = await failure(gate.authenticator.password(KEY, 301, b"other", ORIGIN))

    assert refused.retry_after == 60
    assert "60 seconds" in refused.message
    assert other.retry_after
    assert gate.counted(Event.LOGIN_FAILED) == WRONG_TRIES
    assert gate.counted(Event.LOGIN_REFUSED) == 2
    await gate.authenticator.password(KEY, 300, SECRET, "tcp 192.0.2.8")
    gate.clock.now += 60
    await gate.authenticator.password(KEY, 300, SECRET, ORIGIN)


async def test_same_address_counts_over_all_transports(gate: Gate) -> None:
    for _ in range(WRONG_TRIES):
        await failure(gate.authenticator.password(KEY, 300, b"falsch", "http 192.0.2.7"))

    assert (await failure(gate.authenticator.password(KEY, 300, SECRET, ORIGIN))).retry_after


async def test_tries_made_at_once_are_no_way_round_the_limit(gate: Gate) -> None:
    def attempt(guess: bytes) -> Awaitable[Caller]:
        made = answer_secret(guess, CHALLENGE, form=0x13, salt=SALT)
        answer = ChallengeAnswer(b"HS_SECKEY", KEY, 300, made)
        return gate.authenticator.challenge_answer(answer, CHALLENGE, ORIGIN)

    guesses = [b"%d" % number for number in range(MAX_PER_SOURCE - 1)] + [SECRET]
    outcomes = await asyncio.gather(*map(attempt, guesses), return_exceptions=True)

    told = [each for each in outcomes if isinstance(each, AuthenticationFailed)]
    assert len(told) == len(guesses)
    assert len([each for each in told if not each.retry_after]) == WRONG_TRIES


@pytest.mark.parametrize(
    ("origins", "waiting"),
    [
        (["http 192.0.2.7"], MAX_PER_SOURCE),
        (["http 2001:db8::1", "http 2001:db8::2"], MAX_PER_SOURCE),  # one customer
        (["https 127.0.0.1", "https 127.8.8.8", "tcp ::1"], MAX_PER_SOURCE),  # one machine
        (["udp 192.0.2.7", "udp 198.51.100.7"], MAX_PER_SOURCE),  # forged, perhaps
        ([f"http 192.0.2.{each}" for each in range(200)], MAX_AT_ONCE),
    ],
)
async def test_only_so_many_proofs_wait_to_be_checked(
    gate: Gate, origins: list[str], waiting: int
) -> None:
    mac = compute(SECRET, "HMAC-SHA256", CHALLENGE, Derivation())
    proof = Proof(Name(300, KEY), b"HS_SECKEY", "HMAC-SHA256", b"", mac)
    asked = [origins[number % len(origins)] for number in range(MAX_AT_ONCE + 50)]
    attempts = (gate.authenticator.named_proof(proof, CHALLENGE, each) for each in asked)

    outcomes = await asyncio.gather(*attempts, return_exceptions=True)

    assert len([each for each in outcomes if isinstance(each, Caller)]) == waiting
    assert {type(each) for each in outcomes} == {Caller, Overworked}
    assert await gate.authenticator.named_proof(proof, CHALLENGE, asked[0])


async def test_wrong_try_is_logged_without_the_secret(
    gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        await failure(gate.authenticator.password(KEY, 300, b"falsch", ORIGIN))
        await failure(gate.authenticator.token("idnt_falsch", ORIGIN))

    lines = [record.__dict__ for record in caplog.records]
    assert [line["message"] for line in lines] == ["login failed", "login failed"]
    assert (lines[0]["handle"], lines[0]["index"]) == ("88.1/ADMIN", 300)
    assert (lines[0]["means"], lines[0]["origin"]) == ("basic", ORIGIN)
    assert "falsch" not in str(lines)


async def test_changed_key_counts_from_the_next_use_on(gate: Gate) -> None:
    await gate.authenticator.password(KEY, 300, SECRET, ORIGIN)

    gate.identities.put(ADMIN, secret(300, b"neu"))

    await failure(gate.authenticator.password(KEY, 300, SECRET, ORIGIN))
    await gate.authenticator.password(KEY, 300, b"neu", ORIGIN)


async def test_token_stands_for_its_owner_within_its_limits(gate: Gate) -> None:
    scopes = frozenset({Scope.READ})
    gate.identities.put_token("idnt_x", Token(KEY, 300, scopes, (b"88.1",)))
    gate.identities.put_token("idnt_op", Token(b"", 0, is_operator=True))

    assert await gate.authenticator.token("idnt_x", ORIGIN) == Caller(
        KEY, 300, "token", scopes, (b"88.1",)
    )
    assert (await gate.authenticator.token("idnt_op", ORIGIN)).is_operator


@pytest.mark.parametrize("text", ["", "idnt_y", "x", "idnt_" + "x" * 1_000, "idnt_\ud800"])
async def test_unknown_token_is_refused(gate: Gate, text: str) -> None:
    gate.identities.put_token("x", Token(KEY, 300))
    gate.identities.put_token("idnt_" + "x" * 1_000, Token(KEY, 300))

    assert (await failure(gate.authenticator.token(text, ORIGIN))).code == 403


async def test_right_token_is_taken_however_many_wrong_ones_came_before(gate: Gate) -> None:
    gate.identities.put_token("idnt_x", Token(KEY, 300))
    for _ in range(WRONG_TRIES):
        await failure(gate.authenticator.token("idnt_y", ORIGIN))

    assert (await failure(gate.authenticator.token("idnt_y", ORIGIN))).retry_after
    await gate.authenticator.token("idnt_x", ORIGIN)


async def test_other_servers_are_told_whether_an_answer_was_made_with_a_key_of_ours(
    gate: Gate,
) -> None:
    right = answer_secret(SECRET, CHALLENGE, salt=SALT)
    verifies = gate.authenticator.verifies

    assert await verifies(ADMIN.encode(), 300, CHALLENGE, right)
    assert not await verifies(ADMIN.encode(), 300, b"another", right)
    assert not await verifies(ADMIN.encode(), 999, CHALLENGE, right)
    assert not await verifies(b"88.1/NOBODY", 300, CHALLENGE, right)
    assert not await verifies(ADMIN.encode(), 300, CHALLENGE, b"")


async def test_verifications_are_no_oracle_without_limit(gate: Gate) -> None:
    right = answer_secret(SECRET, CHALLENGE, form=0x13, salt=SALT)
    for _ in range(WRONG_TRIES):
        assert not await gate.authenticator.verifies(KEY, 300, b"another", right, ORIGIN)

    with pytest.raises(AuthenticationFailed):
        await gate.authenticator.verifies(KEY, 300, CHALLENGE, right, ORIGIN)
    assert await gate.authenticator.verifies(KEY, 300, CHALLENGE, right, "tcp 192.0.2.8")


async def test_verifications_asked_in_somebodys_name_do_not_keep_him_out(gate: Gate) -> None:
    for _ in range(WRONG_TRIES + 1):
        with suppress(AuthenticationFailed):
            await gate.authenticator.verifies(KEY, 300, CHALLENGE, b"wrong", "udp 192.0.2.7")

    assert await gate.authenticator.password(KEY, 300, SECRET, ORIGIN)


async def test_outage_is_no_wrong_try(gate: Gate) -> None:
    gate.identities.is_down = True

    for _ in range(WRONG_TRIES + 1):
        with pytest.raises(SourceUnavailable):
            await gate.authenticator.password(KEY, 300, SECRET, ORIGIN)

    assert gate.counted(Event.LOGIN_FAILED) == 0


async def test_mark_of_a_key_changes_with_the_key_and_with_the_marker(gate: Gate) -> None:
    mark = gate.authenticator.key_mark
    before = await mark(KEY, 300, b"m")

    assert before == await mark(KEY, 300, b"m")
    assert len({before, await mark(KEY, 300, b"n"), await mark(KEY, 301, b"m")}) == 3
    gate.identities.put(ADMIN, secret(300, b"neu"))
    assert await mark(KEY, 300, b"m") not in ("", before)
    assert await mark(KEY, 1, b"m") == ""
