"""Checkpoints and cosignatures: one way to write them, a time that counts, the log's own name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.ledger.checkpoint import Checkpoint, Cosigner, parse_size, read_checkpoint
from node.ledger.keys import NoteError, SignatureType
from node.ledger.note import (
    MAX_TIME,
    Ed25519Signer,
    Note,
    SignatureError,
    Unsigned,
    cosigned_at,
    verify,
)
from node.ledger.tlog import EMPTY_ROOT, MAX_SIZE
from tests.support.logs import SECONDS, seed, written_log

ROOT = "XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg="
LOG = Ed25519Signer("a.example/log", seed("log"))
WITNESS = Cosigner("w.example", seed("w"))
CHECKPOINT = Checkpoint(LOG.name, 8, EMPTY_ROOT)

lines = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), min_size=1, max_size=9)


@given(
    lines,
    st.integers(0, MAX_SIZE),
    st.binary(min_size=32, max_size=32),
    st.lists(lines, max_size=3).map(tuple),
)
def test_checkpoint_is_read_as_it_was_written(
    origin: str, size: int, root: bytes, extensions: tuple[str, ...]
) -> None:
    checkpoint = Checkpoint(origin, size, root, extensions)
    assert Checkpoint.parse(checkpoint.text) == checkpoint


@pytest.mark.parametrize(
    "text",
    [
        "", "a\n", "a\n8\n", f"a\n8\n{ROOT}", f"\n8\n{ROOT}\n", f"a\n\n{ROOT}\n", "a\n8\n\n", f"a\n08\n{ROOT}\n",
        f"a\n+8\n{ROOT}\n", f"a\n-8\n{ROOT}\n", f"a\n8 \n{ROOT}\n", f"a\n٨\n{ROOT}\n", f"a\n{2**63}\n{ROOT}\n",
        f"a\n{'9' * 5000}\n{ROOT}\n", f"a\n8\n{ROOT[:-4]}\n", f"a\n8\n{ROOT[:-1]}\n", f"a\n8\n{ROOT[:-2]}h=\n",
        f"a\n8\n{ROOT}\n\n", f"a\n8\n{ROOT}\nx\n\n", f"a\n8\n{ROOT}\n\nx\n",
    ],
)  # fmt: skip
def test_text_that_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(NoteError):
        Checkpoint.parse(text)


@pytest.mark.parametrize(
    "values",
    [("", 1, EMPTY_ROOT), ("a\nb", 1, EMPTY_ROOT), ("a", -1, EMPTY_ROOT), ("a", 2**63, EMPTY_ROOT),
     ("a", 1, b""), ("a", 1, EMPTY_ROOT, ("",))],
)  # fmt: skip
def test_checkpoint_that_cannot_be_is_not_made(values: tuple[str, int, bytes]) -> None:
    with pytest.raises(NoteError):
        Checkpoint(*values)


def test_size_is_the_largest_that_fits() -> None:
    assert parse_size(str(MAX_SIZE)) == MAX_SIZE
    assert parse_size("0") == 0


def test_log_is_believed_under_its_own_name_only() -> None:
    note = Note(CHECKPOINT.text).signed(LOG.sign(CHECKPOINT.text))
    assert read_checkpoint(note, [LOG.key]) == CHECKPOINT
    other = Ed25519Signer("b.example/log", seed("other"))
    stolen = Note(CHECKPOINT.text).signed(other.sign(CHECKPOINT.text))
    with pytest.raises(Unsigned, match="none of the known logs"):
        read_checkpoint(stolen, [other.key])
    with pytest.raises(Unsigned):
        read_checkpoint(stolen, [LOG.key, other.key])


def test_cosignature_says_when_and_only_for_that_time() -> None:
    line = WITNESS.cosign(CHECKPOINT, SECONDS)
    assert cosigned_at(line.data) == SECONDS
    assert WITNESS.key.type is SignatureType.COSIGNATURE
    assert verify(Note(CHECKPOINT.text).signed(line), [WITNESS.key])
    later = (SECONDS + 1).to_bytes(8, "big") + line.data[8:]
    with pytest.raises(SignatureError, match="is wrong"):
        verify(Note(CHECKPOINT.text).signed(line._replace(data=later)), [WITNESS.key])


def test_plain_signature_is_no_cosignature_of_the_same_key() -> None:
    plain = Ed25519Signer(WITNESS.name, seed("w"))
    assert plain.key.id != WITNESS.key.id
    data = SECONDS.to_bytes(8, "big") + plain.sign(CHECKPOINT.text).data
    line = WITNESS.cosign(CHECKPOINT, SECONDS)._replace(data=data)
    with pytest.raises(SignatureError, match="is wrong"):
        verify(Note(CHECKPOINT.text).signed(line), [WITNESS.key])


@pytest.mark.parametrize("seconds", [0, -1, MAX_TIME + 1])
def test_time_that_is_none_is_not_cosigned(seconds: int) -> None:
    with pytest.raises(NoteError, match="time"):
        WITNESS.cosign(CHECKPOINT, seconds)


@pytest.mark.parametrize("data", [b"", (1).to_bytes(8, "big"), bytes(72), b"\x80" + bytes(71)])
def test_cosignature_without_a_time_is_refused(data: bytes) -> None:
    with pytest.raises(NoteError, match="time"):
        cosigned_at(data)


def test_checkpoint_of_a_log_has_no_further_lines() -> None:
    assert written_log(3).checkpoint().text.count("\n") == 3
