"""What an Authorization header, or the body of a session request, says."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.authorization import (
    BearerToken,
    CredentialError,
    Name,
    Password,
    Proof,
    SessionFields,
    read_authorization,
    read_fields,
    read_name,
)

ADMIN = Name(300, b"88.1/ADMIN")
SIGNED = {
    "sessionId": "abc",
    "cnonce": "Y24=",
    "id": "300:88.1/ADMIN",
    "type": "HS_PUBKEY",
    "alg": "SHA256",
    "signature": "c2ln",
}


def basic(user: bytes, password: bytes = b"secret") -> str:
    return "Basic " + b64encode(user + b":" + password).decode()


@pytest.mark.parametrize(
    ("user", "name"),
    [
        (b"300%3A88.1/ADMIN", ADMIN),
        (b"300%3A88.1%2FADMIN", ADMIN),
        (b"88.1/ADMIN", Name(0, b"88.1/ADMIN")),
        (b"0%3A88.1/ADMIN", Name(0, b"88.1/ADMIN")),
        (b"x1%3A88.1/ADMIN", Name(0, b"x1:88.1/ADMIN")),
        (b"300%3A88.1/a%3Ab", Name(300, b"88.1/a:b")),
        (b"300%3A88.1/a+b", Name(300, b"88.1/a+b")),
        (b"300%3A88.1/" + b"%E8%AE%BE", Name(300, "88.1/设".encode())),
        ("300%3A88.1/设".encode(), Name(300, "88.1/设".encode())),
    ],
)
def test_user_of_basic_is_percent_decoded_and_split_at_its_first_colon(
    user: bytes, name: Name
) -> None:
    assert read_authorization(basic(user)) == Password(name, b"secret")


def test_basic_is_split_at_the_first_raw_colon_so_that_passwords_may_hold_some() -> None:
    read = read_authorization(basic(b"300%3A88.1/ADMIN", b"a:b%3Ac"))

    assert read == Password(ADMIN, b"a:b%3Ac")


def test_user_with_a_raw_colon_is_told_to_encode_it() -> None:
    with pytest.raises(CredentialError, match="300%3Ahandle"):
        read_authorization(basic(b"300:88.1/ADMIN"))


def test_bearer_is_a_token() -> None:
    assert read_authorization("Bearer  idnt_x ") == BearerToken("idnt_x")


def test_handle_fields_are_read_with_the_id_percent_decoded() -> None:
    header = (
        'Handle version="0", sessionId="a\\"b", cnonce="Y24", id="300%3A88.1/%E8%AE%BE",'
        'type="HS_SECKEY" , alg=PBKDF2-HMAC-SHA1, signature="c2ln", salt="c2E=",'
        ' iterations="10000", length="160", unknown="x"'
    )

    assert read_authorization(header) == SessionFields(
        'a"b',
        Proof(
            Name(300, "88.1/设".encode()),
            b"HS_SECKEY",
            "PBKDF2-HMAC-SHA1",
            b"cn",
            b"sig",
            b"sa",
            10_000,
            160,
        ),
        b"cn",
    )


def test_id_of_a_body_is_not_percent_decoded() -> None:
    read = read_fields({**SIGNED, "id": "300:88.1/a%2Fb"})

    assert read.proof is not None
    assert read.proof.name == Name(300, b"88.1/a%2Fb")


def test_certificate_is_asked_for_in_words() -> None:
    assert read_authorization('Handle clientCert="true"').client_certificate  # type: ignore[union-attr]
    assert not read_authorization('Handle clientCert="false"').client_certificate  # type: ignore[union-attr]


def test_fields_without_a_proof_name_a_session() -> None:
    assert read_fields({"sessionId": "abc"}) == SessionFields("abc")
    assert read_fields({"SESSIONID": "abc", "cnonce": "Y24="}) == SessionFields("abc", None, b"cn")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Digest x",
        "Basic !!!",
        "Basic " + b64encode(b"no colon").decode(),
        basic(b""),
        basic(b"300%3A"),
        basic(b"99999999999%3A88.1/x"),
        basic(b"4294967296%3A88.1/x"),
        basic(b"300%3A" + b"x" * 2_049),
        'Handle version="1", sessionId="a"',
        "Handle sessionId",
        'Handle sessionId="a" cnonce="b"',
        'Handle cnonce="?"',
        "Handle " + ", ".join(f'a{number}="b"' for number in range(33)),
        "Bearer " + "x" * 20_000,
    ],
)
def test_unreadable_credentials_are_refused_with_a_reason(header: str) -> None:
    with pytest.raises(CredentialError, match=r"\w{3}"):
        read_authorization(header)


@pytest.mark.parametrize("missing", ["id", "type", "alg", "cnonce", "signature"])
def test_proof_with_a_field_missing_is_refused(missing: str) -> None:
    fields = {name: value for name, value in SIGNED.items() if name != missing}

    with pytest.raises(CredentialError, match=f"Missing fields in authentication data: {missing}"):
        read_fields(fields)


@pytest.mark.parametrize(
    ("name", "value"),
    [("type", "HS_ADMIN"), ("iterations", "-1"), ("iterations", "²"), ("length", "9" * 10)],
)
def test_proof_with_a_wrong_field_is_refused(name: str, value: str) -> None:
    with pytest.raises(CredentialError, match=name):
        read_fields({**SIGNED, name: value})


def test_name_keeps_every_byte_of_a_handle() -> None:
    assert read_name(b"300:88.1/\xff:\x00") == Name(300, b"88.1/\xff:\x00")


@given(st.text())
def test_any_header_is_read_or_refused(text: str) -> None:
    for scheme in ("", "Basic ", "Handle ", "Bearer "):
        try:
            read_authorization(scheme + text)
        except CredentialError as error:
            assert str(error)  # noqa: PT017  either is right
