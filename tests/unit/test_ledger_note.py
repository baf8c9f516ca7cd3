"""Signed notes: who is believed, who is ignored, what is refused; keys and their text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.ledger.checkpoint import Cosigner
from node.ledger.keys import NoteError, SignatureType, VerifierKey, join_secret
from node.ledger.note import (
    CHECKS,
    MAX_NOTE_BYTES,
    MAX_SIGNATURES,
    Ed25519Signer,
    Note,
    Signature,
    SignatureError,
    Unsigned,
    verify,
)
from node.ledger.sm2 import CHECKS_WITH_SM2, Sm2Signer
from resolver.keys import sm
from tests.support.logs import seed

TEXT = "one\n\ntwo 二\n"
SIGNER = Ed25519Signer("a.example/log", seed("a"))
OTHER = Ed25519Signer("b.example", seed("b"))
SM2 = Sm2Signer("a.example/log", sm.Sm2PrivateKey.from_scalar(seed("sm2")))
NOTE = Note(TEXT).signed(SIGNER.sign(TEXT), OTHER.sign(TEXT))
LINE = SIGNER.sign(TEXT).line
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"

names = st.text(min_size=1, max_size=20).filter(
    lambda name: "+" not in name and not any(c.isspace() or c < " " for c in name) and name.isprintable()
)  # fmt: skip
signature_lines = st.text(max_size=200).map(
    lambda line: f"text\n\n— {line}\n".encode(errors="replace")
)


def test_unknown_keys_are_ignored_and_known_ones_found_in_order() -> None:
    assert [found.key for found in verify(NOTE, [SIGNER.key])] == [SIGNER.key]
    assert [found.key for found in verify(NOTE, [OTHER.key, SIGNER.key])] == [SIGNER.key, OTHER.key]


def test_note_without_a_known_key_is_worth_nothing() -> None:
    stranger = Ed25519Signer(SIGNER.name, seed("stranger")).key
    with pytest.raises(Unsigned, match="no known key"):
        verify(NOTE, [stranger])
    with pytest.raises(Unsigned):
        verify(NOTE, [])


def test_same_name_or_same_id_alone_is_another_key() -> None:
    mine = SIGNER.sign(TEXT)
    renamed, renumbered = mine._replace(name="c.example"), mine._replace(key_id=OTHER.key.id)
    note = Note(TEXT).signed(renamed, renumbered, mine)
    assert [found.signature for found in verify(note, [SIGNER.key])] == [mine]


def test_wrong_signature_of_a_known_key_spoils_the_whole_note() -> None:
    right, wrong = SIGNER.sign(TEXT), OTHER.sign("another text\n")
    note = Note(TEXT).signed(right, wrong)
    assert verify(note, [SIGNER.key])
    with pytest.raises(SignatureError, match=r"of b\.example is wrong"):
        verify(note, [SIGNER.key, OTHER.key])


@pytest.mark.parametrize("data", [b"\x00" * 63, b"\x00" * 64, b"\x00" * 65, b"\x01"])
@pytest.mark.parametrize("key", [SIGNER.key, Cosigner("a", seed("a")).key, SM2.key])
def test_signature_of_any_wrong_bytes_is_wrong_and_no_more(key: VerifierKey, data: bytes) -> None:
    note = Note(TEXT).signed(Signature(key.name, key.id, data))
    with pytest.raises(SignatureError, match="is wrong"):
        verify(note, [key], CHECKS_WITH_SM2)


def test_flipped_bit_in_the_text_spoils_it() -> None:
    with pytest.raises(SignatureError):
        verify(Note("One\n\ntwo 二\n", NOTE.signatures), [SIGNER.key])


def test_sm2_line_stands_beside_the_other_and_is_ignored_by_who_does_not_know_it() -> None:
    note = Note(TEXT).signed(SIGNER.sign(TEXT), SM2.sign(TEXT))
    assert len(verify(note, [SIGNER.key, SM2.key], CHECKS_WITH_SM2)) == 2
    assert len(verify(note, [SIGNER.key])) == 1
    with pytest.raises(NoteError, match="nothing here can check SM2_SM3"):
        verify(note, [SIGNER.key, SM2.key], CHECKS)


def test_sm2_key_id_is_over_type_name_and_point() -> None:
    assert SM2.key.type.value == b"\xff" + b"sm2-sm3/v1"
    assert (len(SM2.key.public), SM2.key.public[0]) == (65, 4)
    assert SM2.key.der == SM2.private.public_der
    assert VerifierKey.parse(str(SM2.key)) == SM2.key


def test_sm2_point_off_the_curve_signs_nothing() -> None:
    key = VerifierKey("a", SignatureType.SM2_SM3, b"\x04" + bytes(64))
    signature = SM2.sign(TEXT)._replace(name="a", key_id=key.id)
    with pytest.raises(SignatureError, match="is wrong"):
        verify(Note(TEXT).signed(signature), [key], CHECKS_WITH_SM2)


def test_signing_again_replaces_the_line_of_the_key() -> None:
    old = Note(TEXT).signed(SIGNER.sign("older\n"), OTHER.sign(TEXT))
    assert set(old.signed(SIGNER.sign(TEXT)).signatures) == set(NOTE.signatures)


def test_two_keys_that_cannot_be_told_apart_are_refused() -> None:
    found_by_trying = (38_170, 78_965)
    keys = [
        VerifierKey("a.example", SignatureType.ED25519, number.to_bytes(32, "big"))
        for number in found_by_trying
    ]
    assert keys[0].id == keys[1].id
    with pytest.raises(NoteError, match="same id"):
        verify(NOTE, keys)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty line"),
        (b"text\n", "empty line"),
        (b"text\n\n", "signature lines"),
        (f"text\n{LINE}".encode(), "empty line"),
        (f"text\n\n{LINE[:-1]}".encode(), "signature lines"),
        (f"text\n\n{LINE}rest\n".encode(), "em dash"),
        (f"text\n\n{LINE}\n".encode(), "signature lines"),
        (f"text\n\n-{LINE[1:]}".encode(), "em dash"),
        ("text\n\n— a.example\n".encode(), "em dash"),
        ("text\n\n—  AAAAAAA=\n".encode(), "name"),
        ("text\n\n— a+b AAAAAAA=\n".encode(), "name"),
        ("text\n\n— a\u3000b AAAAAAA=\n".encode(), "name"),
        ("text\n\n— a AAAAAA==\n".encode(), "too short"),
        ("text\n\n— a AAAAAAB=\n".encode(), "one right way"),
        ("text\n\n— a AAAAAAA\n".encode(), "base64"),
        ("text\n\n— a AAAA AAA=\n".encode(), "base64"),
        (b"te\x00xt\n\n" + LINE.encode(), "control"),
        (b"te\txt\n\n" + LINE.encode(), "control"),
        (b"text\r\n\n" + LINE.encode(), "control"),
        (b"te\xffxt\n\n" + LINE.encode(), "UTF-8"),
    ],
)
def test_what_is_no_note_is_refused_with_its_reason(data: bytes, reason: str) -> None:
    with pytest.raises(NoteError, match=reason):
        Note.parse(data)


def test_sixteen_signatures_are_read_and_too_many_are_not() -> None:
    signers = [Ed25519Signer(f"w{number}", seed(str(number))) for number in range(16)]
    note = Note(TEXT).signed(*(signer.sign(TEXT) for signer in signers))
    assert len(verify(Note.parse(note.encode()), [signer.key for signer in signers])) == 16
    most = NOTE.text.encode() + b"\n" + LINE.encode() * MAX_SIGNATURES
    assert len(Note.parse(most).signatures) == MAX_SIGNATURES
    with pytest.raises(NoteError, match=f"at most {MAX_SIGNATURES} signatures"):
        Note.parse(most + b"not even read\n")
    with pytest.raises(NoteError, match=f"at most {MAX_SIGNATURES} signatures"):
        Note(TEXT, (SIGNER.sign(TEXT),) * (MAX_SIGNATURES + 1))


def test_note_has_a_largest_size() -> None:
    ending = f"\n\n{LINE}".encode()
    largest = b"x" * (MAX_NOTE_BYTES - len(ending)) + ending
    assert Note.parse(largest).encode() == largest
    with pytest.raises(NoteError, match="at most 1048576 bytes"):
        Note.parse(b"x" + largest)


@pytest.mark.parametrize("text", ["", "no end", "a\x1fb\n", "a\tb\n"])
def test_text_that_no_note_has_is_refused(text: str) -> None:
    with pytest.raises(NoteError):
        Note(text)


@given(st.text().map(lambda text: "".join(c for c in text if c >= " " or c == "\n") + "\n"), names)
def test_note_of_any_text_is_read_as_it_was_signed(text: str, name: str) -> None:
    signer = Ed25519Signer(name, seed(name))
    note = Note(text).signed(signer.sign(text))
    read = Note.parse(note.encode())
    assert read == note
    assert verify(read, [signer.key])


@given(st.binary(max_size=400) | signature_lines)
def test_any_bytes_are_a_note_written_in_one_way_or_refused(data: bytes) -> None:
    try:
        note = Note.parse(data)
    except NoteError:
        return
    assert note.encode() == data


def test_any_other_spelling_of_a_key_is_refused() -> None:
    assert str(VerifierKey.parse(PETER)) == PETER
    pieces = {PETER[i:j] for i in range(len(PETER)) for j in range(i + 1, len(PETER) + 1)}
    changed = {PETER[:i] + chr(ord(PETER[i]) + 1) + PETER[i + 1 :] for i in range(len(PETER))}
    upper = PETER.replace("c74f20a3", "C74F20A3")
    for text in (pieces - {PETER}) | changed | {upper, PETER + "\n", " " + PETER, ""}:
        with pytest.raises(NoteError):
            VerifierKey.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",  # too long
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",  # no known type
    ],
)
def test_key_of_a_wrong_length_or_type_is_refused(text: str) -> None:
    with pytest.raises(NoteError):
        VerifierKey.parse(text)


@pytest.mark.parametrize("signer", [SIGNER, SM2, Cosigner("w.example", seed("w"))])
def test_private_key_comes_back_from_its_text(signer: Ed25519Signer | Sm2Signer | Cosigner) -> None:
    again = type(signer).parse(signer.secret + "\n")
    assert again == signer
    assert VerifierKey.parse(str(signer.key)) == signer.key
    other = OTHER.secret.replace(OTHER.key.id.hex(), SIGNER.key.id.hex())
    for wrong in (signer.secret[12:], signer.secret[:-4], str(signer.key), other, ""):
        with pytest.raises(NoteError):
            type(signer).parse(wrong)


def test_private_key_is_not_printed() -> None:
    for signer in (SIGNER, SM2, Cosigner("w.example", seed("w"))):
        assert "seed" not in repr(signer)
        assert repr(seed("sm2"))[2:20] not in repr(signer)


def test_private_key_of_another_type_is_refused() -> None:
    with pytest.raises(NoteError, match="signs as ED25519, not COSIGNATURE"):
        Cosigner.parse(SIGNER.secret)
    with pytest.raises(NoteError, match="32 bytes"):
        Ed25519Signer("a", bytes(31))
    with pytest.raises(NoteError, match="below the curve's order"):
        Sm2Signer.parse(join_secret(SM2.key, bytes(32)))
