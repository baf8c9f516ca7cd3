"""One file that proves a leaf offline: what is in it, when it is believed, what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.ledger.keys import NoteError
from node.ledger.note import Note, SignatureError
from node.ledger.proof import MAX_PROOF_BYTES, LogProof
from node.ledger.quorum import Policy
from node.ledger.tlog import MAX_PROOF_HASHES, ProofError, inclusion_proof, leaf_hash
from tests.support.logs import SECONDS, WrittenLog, written_log

LOG = written_log(300)
NOTE = LOG.note()

some_bytes = st.binary(max_size=200)


def policy(log: WrittenLog, quorum: str) -> Policy:
    lines = [f"log {log.signer.key}"]
    lines += [f"witness w{number} {witness.key}" for number, witness in enumerate(log.witnesses)]
    return Policy.parse("\n".join([*lines, "group both all w0 w1", f"quorum {quorum}"]).encode())


def proof_of(index: int, extra: bytes | None = None) -> LogProof:
    path = inclusion_proof(index, LOG.size, LOG.read(LOG.size))
    return LogProof(index, tuple(path), NOTE, extra)


@given(st.integers(0, 299), st.none() | st.binary(max_size=99))
def test_proof_of_every_leaf_is_read_and_believed(index: int, extra: bytes | None) -> None:
    proof = LogProof.parse(proof_of(index, extra).encode())
    assert proof == proof_of(index, extra)
    found = proof.verify(leaf_hash(LOG.leaves[index]), policy(LOG, "both"))
    assert found.checkpoint == LOG.checkpoint()
    assert found.witnesses == {"w0": SECONDS, "w1": SECONDS}


def test_file_has_the_lines_of_the_specification() -> None:
    lines = proof_of(7, b"age").encode().decode().split("\n")
    assert lines[:3] == ["c2sp.org/tlog-proof@v1", "extra YWdl", "index 7"]
    assert lines.index("") == 3 + len(proof_of(7).path)
    assert "\n".join(lines[lines.index("") + 1 :]).encode() == NOTE.encode()
    assert proof_of(7).encode().split(b"\n")[1] == b"index 7"


def test_other_leaf_or_place_is_not_proved() -> None:
    leaf, believed = leaf_hash(LOG.leaves[7]), policy(LOG, "both")
    proof_of(7).verify(leaf, believed)
    with pytest.raises(ProofError):
        proof_of(7).verify(leaf_hash(b"another"), believed)
    with pytest.raises(ProofError):
        LogProof(8, proof_of(7).path, NOTE).verify(leaf, believed)


def test_checkpoint_without_its_quorum_proves_nothing() -> None:
    few = LogProof(7, proof_of(7).path, Note(NOTE.text, NOTE.signatures[:2]))
    leaf = leaf_hash(LOG.leaves[7])
    few.verify(leaf, policy(LOG, "w0"))
    with pytest.raises(SignatureError, match="no quorum"):
        few.verify(leaf, policy(LOG, "both"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"c2sp.org/tlog-proof@v1", b"c2sp.org/tlog-proof@v2"),
        (b"index 7\n", b"index 07\n"),
        (b"index 7\n", b"index 9223372036854775808\n"),
        (b"index 7\n", b"index -7\n"),
        (b"index 7\n", b""),
        (b"index 7\n", b"index 7\nAAAA\n"),
        (b"index 7\n", b"index 7\n\n"),
        (b"extra YWdl", b"extra YWdm="),
        (b"extra YWdl", b"extra  YWdl"),
        (b"extra YWdl\n", b"extra YWdl\nextra YWdl\n"),
        (b"extra YWdl\nindex 7\n", b"index 7\nextra YWdl\n"),
        (b"extra", b"extr\xc3\xa4"),
        (b"\n\n", b"\n"),
        (b"log.example/ledger\n300", b"log.example/ledger\t300"),
    ],
)
def test_file_that_is_no_proof_is_refused(old: bytes, new: bytes) -> None:
    data = proof_of(7, b"age").encode()
    assert old in data
    with pytest.raises(NoteError):
        LogProof.parse(data.replace(old, new))


def test_proof_has_limits() -> None:
    root = LOG.checkpoint().root
    LogProof(7, (root,) * MAX_PROOF_HASHES, NOTE)
    with pytest.raises(NoteError, match="at most 63 hashes"):
        LogProof(7, (root,) * (MAX_PROOF_HASHES + 1), NOTE)
    with pytest.raises(NoteError, match="32 bytes"):
        LogProof(7, (root[:31],), NOTE)
    with pytest.raises(NoteError, match="size"):
        LogProof(-1, (), NOTE)
    with pytest.raises(NoteError, match="at most 1048576 bytes"):
        LogProof.parse(bytes(MAX_PROOF_BYTES + 1))


@given(some_bytes | some_bytes.map(b"c2sp.org/tlog-proof@v1\n".__add__))
def test_any_bytes_are_a_proof_or_refused(data: bytes) -> None:
    try:
        proof = LogProof.parse(data)
    except NoteError:
        return
    assert proof.encode() == data
