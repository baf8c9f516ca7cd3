"""Signed messages: what is covered, what is refused and why, and that others check them alike."""

import subprocess
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.keys.signing import SigningKey, SigningKind, read_verifying_keys
from sync.signature import (
    Answer,
    Awaited,
    Fault,
    Nonces,
    Parts,
    Request,
    SignatureFailed,
    Verified,
    sign,
    verify,
)

NOW = 1_763_880_000
NONCE = "m1Ex0cWbQp5Jk2s8rT4uVw"
REQUEST = Request("POST", "/sync/v1/messages", b'{"kind":"hello"}')
KEY = SigningKey.make(SigningKind.ED25519)
OTHER = SigningKey.make(SigningKind.ED25519)
KEYS = {KEY.key_id: KEY.public}

Headers = dict[str, str]


def signed(parts: Parts = REQUEST, key: SigningKey = KEY, *, nonce: str = NONCE) -> Headers:
    headers = sign(parts, key, created=NOW, nonce=nonce)
    return {name.lower(): text for name, text in headers.items()}


def checked(headers: Headers, parts: Parts = REQUEST, *, now: float = NOW) -> Verified:
    return verify(parts, headers, KEYS, now=now, seen=Nonces())


def fault_of(headers: Headers, parts: Parts = REQUEST, *, now: float = NOW) -> Fault:
    with pytest.raises(SignatureFailed) as caught:
        checked(headers, parts, now=now)
    return caught.value.fault


@pytest.mark.parametrize("kind", SigningKind)
def test_every_kind_of_key_signs_and_is_checked(kind: SigningKind) -> None:
    key = SigningKey.make(kind)
    headers = signed(key=key)
    keys = read_verifying_keys(KEY.public.pem + key.public.pem)
    found = verify(REQUEST, headers, keys, now=NOW + 2, seen=Nonces())
    assert found == Verified(key.key_id, NONCE, -2)
    assert f'alg="{kind}"' in headers["signature-input"]


@pytest.mark.parametrize("kind", SigningKind)
def test_openssl_checks_what_is_signed(kind: SigningKind, tmp_path: Path) -> None:
    key = SigningKey.make(kind)
    headers = signed(key=key)
    params = headers["signature-input"].removeprefix("idnode=")
    base = (
        '"@method": POST\n"@path": /sync/v1/messages\n'
        f'"content-digest": {headers["content-digest"]}\n"@signature-params": {params}'
    )
    (tmp_path / "base").write_bytes(base.encode())
    (tmp_path / "signature").write_bytes(b64decode(headers["signature"].split(":")[1]))
    (tmp_path / "key.pub").write_bytes(key.public.pem)
    options = {
        SigningKind.ED25519: ["-rawin"],
        SigningKind.RSA: ["-rawin", "-digest", "sha256"],
        SigningKind.SM2: ["-rawin", "-digest", "sm3", "-pkeyopt", "distid:1234567812345678"],
    }[kind]
    words = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pub", "-in", "base"]
    told = subprocess.run(
        [*words, "-sigfile", "signature", *options],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Signature Verified Successfully" in told.stdout, told.stderr


def test_key_id_is_the_digest_that_openssl_gives(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(KEY.pem)
    der = subprocess.run(
        ["openssl", "pkey", "-in", "key.pem", "-pubout", "-outform", "DER"],
        cwd=tmp_path, capture_output=True, check=True,
    ).stdout  # fmt: skip
    digest = subprocess.run(["sha256sum"], input=der, capture_output=True, check=True).stdout
    assert digest.split()[0].decode() == KEY.key_id


@pytest.mark.parametrize(
    ("parts", "fault"),
    [
        (REQUEST._replace(body=b'{"kind":"hellO"}'), Fault.DIGEST),
        (REQUEST._replace(path="/epp"), Fault.SIGNATURE),
        (REQUEST._replace(method="PUT"), Fault.SIGNATURE),
        (Answer(200, REQUEST.body), Fault.MALFORMED),
    ],
)
def test_what_is_covered_cannot_be_changed(parts: Parts, fault: Fault) -> None:
    assert fault_of(signed(), parts) is fault


def test_status_of_an_answer_cannot_be_changed() -> None:
    headers = signed(Answer(503, b""))
    assert fault_of(headers, Answer(200, b"")) is Fault.SIGNATURE


Change = Callable[[Headers], Headers]


def with_text(header: str, old: str, new: str) -> Change:
    def change(headers: Headers) -> Headers:
        assert old in headers[header]
        return headers | {header: headers[header].replace(old, new)}

    return change


INPUT = "signature-input"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (with_text(INPUT, str(NOW), str(NOW + 1)), Fault.SIGNATURE),
        (with_text(INPUT, NONCE, NONCE[::-1]), Fault.SIGNATURE),
        (with_text(INPUT, "ed25519", "sm2-sm3"), Fault.SIGNATURE),
        (with_text(INPUT, KEY.key_id, OTHER.key_id), Fault.KEY),
        (with_text(INPUT, ' "content-digest"', ""), Fault.MALFORMED),
        (with_text(INPUT, '"@method"', '"@method" "@method"'), Fault.MALFORMED),
        (with_text(INPUT, f'nonce="{NONCE}";', ""), Fault.MALFORMED),
        (with_text(INPUT, f"created={NOW};", ""), Fault.MALFORMED),
        (with_text(INPUT, f"={NOW};", f'="{"9" * 5_000}";'), Fault.MALFORMED),
        (with_text(INPUT, f"={NOW};", '="\u0663";'), Fault.MALFORMED),
        (with_text(INPUT, "idnode=", "other="), Fault.MALFORMED),
        (with_text(INPUT, "idnode=", 'x=("@path");created=1,idnode='), Fault.MALFORMED),
        (with_text("content-digest", "sha-256", "sha-512"), Fault.MALFORMED),
        (with_text("signature", ":", ""), Fault.MALFORMED),
        (with_text("signature", "idnode=:", "idnode=:AAAA"), Fault.SIGNATURE),
        (lambda headers: headers | {"signature": "s=:" + "A" * 9_000 + ":"}, Fault.MALFORMED),
        (lambda headers: {**headers, "signature": ""}, Fault.MISSING),
        (lambda _: {}, Fault.MISSING),
    ],
)
def test_changed_header_is_refused_by_its_fault(change: Change, fault: Fault) -> None:
    assert fault_of(change(signed())) is fault


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(signed(), st.text() | st.just(""))))
def test_any_headers_are_refused_and_nothing_else_happens(headers: Headers) -> None:
    for broken in (headers, signed() | headers):
        if broken != signed():
            fault_of(broken)


def test_signature_of_another_key_is_refused() -> None:
    forged = with_text(INPUT, OTHER.key_id, KEY.key_id)(signed(key=OTHER))
    assert fault_of(forged) is Fault.SIGNATURE


def test_other_order_and_more_spaces_are_the_same_signature() -> None:
    digest = signed()["content-digest"]
    params = (
        f'("content-digest"  "@path" "@method");keyid="{KEY.key_id}";alg="ed25519"'
        f';nonce="{NONCE}";created={NOW}'
    )
    base = (
        f'"content-digest": {digest}\n"@path": /sync/v1/messages\n"@method": POST\n'
        f'"@signature-params": {params}'
    )
    from_base = KEY.sign(base.encode())
    encoded = b64encode(from_base).decode()
    headers = {
        "content-digest": f"sha-512=:AA==:, {digest}",
        INPUT: f"sig1={params}",
        "signature": f"sig1=:{encoded}:",
    }
    # the digest's header is covered as it stands
    assert fault_of(headers) is Fault.SIGNATURE
    assert checked(headers | {"content-digest": digest}).key_id == KEY.key_id


@pytest.mark.parametrize(("ahead", "words"), [(301, "ahead of"), (-301, "behind")])
def test_clock_that_is_far_off_is_refused_and_told(ahead: int, words: str) -> None:
    with pytest.raises(SignatureFailed, match=f"301 s {words} ours") as caught:
        checked(signed(), now=NOW - ahead)
    assert (caught.value.fault, caught.value.skew_seconds) == (Fault.CLOCK, ahead)
    assert checked(signed(), now=NOW - ahead // 301 * 300).skew_seconds == ahead // 301 * 300


def test_nonce_is_taken_once_and_not_used_up_by_strangers() -> None:
    seen = Nonces()
    forged = with_text(INPUT, OTHER.key_id, KEY.key_id)(signed(key=OTHER))
    for headers, late in ((forged, 0), (signed(), 1_000)):
        with pytest.raises(SignatureFailed):
            verify(REQUEST, headers, KEYS, now=NOW + late, seen=seen)
    verify(REQUEST, signed(), KEYS, now=NOW, seen=seen)
    with pytest.raises(SignatureFailed) as caught:
        verify(REQUEST, signed(), KEYS, now=NOW + 299, seen=seen)
    assert caught.value.fault is Fault.REPLAYED


def test_nonces_are_forgotten_only_when_their_signatures_are_too_old() -> None:
    seen = Nonces(limit=2)
    assert [seen.accept("k", each, 0) for each in "aba"] == [True, True, False]
    assert not seen.accept("k", "c", 599)  # full: nothing is forgotten early
    assert seen.accept("k", "c", 600)
    assert seen.accept("k", "a", 600)


def test_answer_must_bear_the_nonce_of_its_request() -> None:
    answer = Answer(200, b"{}")
    headers = signed(answer)
    verify(answer, headers, KEYS, now=NOW, seen=Awaited(NONCE))
    with pytest.raises(SignatureFailed) as caught:
        verify(answer, headers, KEYS, now=NOW, seen=Awaited("another-nonce-than-it"))
    assert caught.value.fault is Fault.REPLAYED


@pytest.mark.parametrize("kind", SigningKind)
def test_key_that_was_written_is_read_again(kind: SigningKind, tmp_path: Path) -> None:
    key, path = SigningKey.make(kind), tmp_path / "key.pem"
    path.write_bytes(key.pem)
    assert SigningKey.load(path).key_id == key.key_id


@pytest.mark.parametrize(
    "pem", [b"", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"]
)
def test_what_is_no_key_is_refused(pem: bytes, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="public key"):
        read_verifying_keys(pem)
    (tmp_path / "key.pem").write_bytes(pem)
    with pytest.raises(ValueError, match=r"key\.pem: "):
        SigningKey.load(tmp_path / "key.pem")
