"""The rules of a witness: what it cosigns, what it answers to everything else, and what it keeps as evidence."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.ledger.checkpoint import Checkpoint, Cosigner
from node.ledger.keys import NoteError, SignatureType
from node.ledger.note import Ed25519Signer, Note, Signature, check_cosignature, cosigned_at
from node.ledger.sm2 import CHECKS_WITH_SM2, Sm2Signer
from node.ledger.submission import (
    MAX_SUBMISSION_BYTES,
    SIZE_TYPE,
    Submission,
    parse_cosignatures,
    parse_known_size,
)
from node.ledger.tlog import EMPTY_ROOT, consistency_proof
from node.ledger.witnessing import (
    MAX_CLOCK_BEHIND_SECONDS,
    MAX_LOG_KEYS,
    Cosigned,
    Evidence,
    Refusal,
    Rules,
    Seen,
    watched,
)
from resolver.keys import sm
from tests.support.logs import ORIGIN, SECONDS, WrittenLog, make_leaves, seed, written_log

COSIGNER = Cosigner("witness.example/1", seed("the witness"))
LEAVES = make_leaves(40)


def signed(log: WrittenLog) -> Note:
    checkpoint = log.checkpoint()
    return Note(checkpoint.text).signed(log.signer.sign(checkpoint.text))


def other_log(count: int) -> WrittenLog:
    """Another history under the same key."""
    log = WrittenLog()
    log.append([b"another leaf", *LEAVES[1:count]])
    return log


def submission(log: WrittenLog, old: int) -> bytes:
    proof = consistency_proof(old, log.size, log.read(log.size)) if old <= log.size else []
    return Submission(old, tuple(proof), signed(log)).encode()


class Witness:
    """Keeps what it cosigns in memory."""

    def __init__(self, *logs: Ed25519Signer) -> None:
        keys = [log.key for log in logs] or [WrittenLog().signer.key]
        self.rules = Rules(watched(keys), COSIGNER)
        self.seen: dict[str, Seen] = {}

    def judge(self, body: bytes, now: int = SECONDS) -> Cosigned | Refusal:
        decided = self.rules.judge(body, self.seen, now)
        if isinstance(decided, Cosigned):
            self.seen[decided.seen.checkpoint.origin] = decided.seen
        return decided

    def refusal(self, body: bytes, now: int = SECONDS) -> Refusal:
        before = dict(self.seen)
        decided = self.judge(body, now)
        assert isinstance(decided, Refusal)
        assert self.seen == before
        return decided

    @property
    def size(self) -> int:
        return self.seen[ORIGIN].checkpoint.size


def witness_of(size: int) -> Witness:
    made = Witness()
    assert isinstance(made.judge(submission(grown(size), 0)), Cosigned)
    return made


def grown(size: int) -> WrittenLog:
    log = WrittenLog()
    log.append(LEAVES[:size])
    return log


def test_growth_is_cosigned_with_the_time_of_the_witness() -> None:
    witness, log = Witness(), grown(7)
    for size in (7, 20, 40):
        log.append(LEAVES[log.size : size])
        old = witness.size if witness.seen else 0
        decided = witness.judge(submission(log, old), SECONDS + size)
        assert isinstance(decided, Cosigned)
        line = Signature.parse(decided.line.removesuffix("\n"))
        text = log.checkpoint().text.encode()
        assert check_cosignature(COSIGNER.key.public, text, line.data)
        assert (line.name, line.key_id) == (COSIGNER.key.name, COSIGNER.key.id)
        assert cosigned_at(line.data) == SECONDS + size
        assert witness.size == size


def test_what_is_kept_has_the_lines_of_log_and_witness_and_no_other() -> None:
    log = grown(7)
    stranger = Ed25519Signer("stranger.example", seed("stranger"))
    note = signed(log).signed(stranger.sign(log.checkpoint().text))
    decided = Witness().judge(Submission(0, (), note).encode())
    assert isinstance(decided, Cosigned)
    assert [line.name for line in decided.seen.note.signatures] == [ORIGIN, COSIGNER.name]
    assert Seen.read(decided.seen.note.encode(), COSIGNER.key) == decided.seen


def test_same_head_is_cosigned_again_with_a_newer_time() -> None:
    witness = witness_of(20)
    decided = witness.judge(submission(grown(20), 20), SECONDS + 60)
    assert isinstance(decided, Cosigned)
    assert decided.seen.seconds == SECONDS + 60


def test_stale_size_is_told_the_one_that_the_witness_saw() -> None:
    witness = witness_of(20)
    for old in (0, 7, 21):
        refusal = witness.refusal(submission(grown(40), old))
        assert (refusal.status, refusal.content_type) == (409, SIZE_TYPE)
        assert parse_known_size(refusal.text.encode()) == 20
        assert refusal.evidence is None


def test_log_that_was_rolled_back_is_told_the_larger_size() -> None:
    witness = witness_of(20)
    refusal = witness.refusal(submission(grown(7), 7))
    assert (refusal.status, refusal.text, refusal.evidence) == (409, "20\n", None)


def test_old_size_beyond_the_checkpoint_makes_no_sense() -> None:
    assert witness_of(20).refusal(submission(grown(7), 20)).status == 400


def test_fork_of_one_size_is_refused_and_kept() -> None:
    refusal = witness_of(20).refusal(submission(other_log(20), 20))
    assert (refusal.status, refusal.evidence) == (422, Evidence.FORK)
    assert (refusal.origin, refusal.size) == (ORIGIN, 20)


def test_fork_of_one_size_is_evidence_whatever_old_size_came_with_it() -> None:
    witness = witness_of(20)
    for old, status in ((7, 409), (0, 409), (21, 400)):
        refusal = witness.refusal(submission(other_log(20), old))
        assert (refusal.status, refusal.evidence) == (status, Evidence.FORK)


def test_forked_growth_is_refused() -> None:
    refusal = witness_of(20).refusal(submission(other_log(40), 20))
    assert (refusal.status, refusal.evidence) == (422, Evidence.DOUBT)


@pytest.mark.parametrize("damage", ["missing", "short", "long", "swapped", "flipped"])
def test_growth_with_a_wrong_proof_is_refused(damage: str) -> None:
    log = grown(40)
    proof = consistency_proof(20, 40, log.read(40))
    wrong: dict[str, Sequence[bytes]] = {
        "missing": [],
        "short": proof[:-1],
        "long": [*proof, proof[0]],
        "swapped": [*proof[1:], proof[0]],
        "flipped": [bytes([proof[0][0] ^ 1]) + proof[0][1:], *proof[1:]],
    }
    body = Submission(20, tuple(wrong[damage]), signed(log)).encode()
    assert witness_of(20).refusal(body).status == 422


def test_proof_is_judged_from_what_the_witness_saw_and_not_from_what_it_is_told() -> None:
    """A forged log is consistent with itself at every size."""
    witness, forged = witness_of(20), other_log(40)
    for old in range(41):
        assert witness.refusal(submission(forged, old)).status in (409, 422)


def test_first_tree_and_same_tree_need_no_proof() -> None:
    log = grown(20)
    hashes = tuple(consistency_proof(7, 20, log.read(20)))
    assert Witness().refusal(Submission(0, hashes, signed(log)).encode()).status == 422
    refusal = witness_of(20).refusal(Submission(20, hashes, signed(log)).encode())
    assert (refusal.status, refusal.evidence) == (422, None)


def test_empty_tree_has_one_root() -> None:
    witness, log = Witness(), WrittenLog()
    assert isinstance(witness.judge(submission(log, 0)), Cosigned)
    assert isinstance(witness.judge(submission(grown(7), 0)), Cosigned)
    wrong = Checkpoint(ORIGIN, 0, bytes(32))
    body = Submission(0, (), Note(wrong.text).signed(log.signer.sign(wrong.text))).encode()
    refusal = Witness().refusal(body)
    assert (refusal.status, refusal.evidence) == (422, Evidence.FORK)
    assert log.checkpoint().root == EMPTY_ROOT


def test_log_that_is_not_watched_is_not_known() -> None:
    refusal = Witness(Ed25519Signer("other.example", seed("other"))).refusal(
        submission(grown(7), 0)
    )
    assert refusal.status == 404


def test_checkpoint_without_a_line_of_its_log_is_forbidden() -> None:
    log = grown(7)
    thief = Ed25519Signer(ORIGIN, seed("thief"))
    text = log.checkpoint().text
    assert (
        Witness().refusal(Submission(0, (), Note(text).signed(thief.sign(text))).encode()).status
        == 403
    )


def test_wrong_line_of_a_known_key_is_forbidden_beside_a_right_one_too() -> None:
    log = grown(7)
    old, new = log.signer, Ed25519Signer(ORIGIN, seed("new key"))
    text = log.checkpoint().text
    wrong = old.sign(text)._replace(data=bytes(64))
    body = Submission(0, (), Note(text, (new.sign(text), wrong))).encode()
    assert Witness(old, new).refusal(body).status == 403
    assert isinstance(Witness(new).judge(body), Cosigned)  # there the old one is nobody's


def test_one_log_may_have_several_keys() -> None:
    log, new = grown(7), Ed25519Signer(ORIGIN, seed("new key"))
    witness = Witness(log.signer, new)
    assert isinstance(witness.judge(submission(log, 0)), Cosigned)
    log.append(LEAVES[7:20])
    log.signer = new
    assert isinstance(witness.judge(submission(log, 7)), Cosigned)


def test_log_may_be_watched_by_its_sm2_key() -> None:
    log = grown(7)
    signer = Sm2Signer(ORIGIN, sm.Sm2PrivateKey.from_scalar(seed("sm2")))
    text = log.checkpoint().text
    body = Submission(0, (), Note(text).signed(signer.sign(text))).encode()
    assert isinstance(
        Rules(watched([signer.key]), COSIGNER, CHECKS_WITH_SM2).judge(body, {}, SECONDS), Cosigned
    )


def test_clock_that_was_set_back_cosigns_nothing() -> None:
    witness = witness_of(20)
    soon = witness.refusal(submission(grown(40), 20), SECONDS - MAX_CLOCK_BEHIND_SECONDS)
    assert (soon.status, soon.retry_after) == (503, MAX_CLOCK_BEHIND_SECONDS)
    late = witness.refusal(submission(grown(40), 20), SECONDS - 3_600)
    assert (late.status, late.retry_after) == (503, 0)
    assert witness.refusal(submission(other_log(20), 20), SECONDS - 3_600).status == 422


@pytest.mark.parametrize(
    "head",
    [
        b"old 7",  # no empty line
        b"old 07\n\n",
        b"old -1\n\n",
        b"old 9223372036854775808\n\n",
        b"old  7\n\n",
        b"OLD 7\n\n",
        b"7\n\n",
        b"\n\n",
        b"old 7\r\n\r\n",
        b"old 7\nAAAA\n\n",  # no hash
        b"old 7\n" + b"A" * 44 + b"\n\n",  # base64 in another way than the right one
        b"old 7\n" + b"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n" * 64 + b"\n",
        "old ７\n\n".encode(),
    ],
)
def test_what_is_no_submission_is_a_bad_request(head: bytes) -> None:
    assert Witness().refusal(head + signed(grown(7)).encode()).status == 400


def test_note_that_is_no_checkpoint_is_a_bad_request() -> None:
    signer = WrittenLog().signer
    for text in (f"{ORIGIN}\n", f"{ORIGIN}\n7\nAAAA\n", f"{ORIGIN}\nx\n{'A' * 43}=\n"):
        body = b"old 0\n\n" + Note(text).signed(signer.sign(text)).encode()
        assert Witness().refusal(body).status == 400


def test_submission_that_is_too_long_is_a_bad_request() -> None:
    note = signed(grown(7))
    for count, is_taken in ((20, True), (40, False)):
        lines = [Signature(f"s{no}", bytes(4), bytes(2_000)) for no in range(count)]
        body = Submission(0, (), note.signed(*lines)).encode()
        assert (len(body) <= MAX_SUBMISSION_BYTES) is is_taken
        decided = Witness().judge(body)
        assert isinstance(decided, Cosigned if is_taken else Refusal)


@given(st.binary(max_size=300))
def test_any_bytes_are_answered(data: bytes) -> None:
    for body in (data, b"old 0\n\n" + data, data + signed(grown(1)).encode()):
        assert Witness().refusal(body).status == 400


@given(st.integers(0, 40), st.integers(0, 40))
def test_submission_is_read_as_it_was_written(old: int, new: int) -> None:
    body = submission(grown(max(old, new)), min(old, new))
    assert Submission.parse(body).encode() == body


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.integers(0, 40)), max_size=12))
def test_witness_never_cosigns_two_trees_that_disagree(tries: list[tuple[bool, int, int]]) -> None:
    """Whatever two histories under one key submit, in whatever order, all that is cosigned is of one of them."""
    witness, of_one, of_other = Witness(), 0, 0
    for is_other, size, old in tries:
        log = other_log(max(size, 1)) if is_other else grown(size)
        if isinstance(witness.judge(submission(log, old)), Cosigned) and log.size:
            of_one += not is_other
            of_other += is_other
    assert not (of_one and of_other)


def test_keys_that_no_log_has_are_not_watched() -> None:
    assert COSIGNER.key.type is SignatureType.COSIGNATURE
    for keys in ([], [COSIGNER.key], [WrittenLog().signer.key] * (MAX_LOG_KEYS + 1)):
        with pytest.raises(NoteError):
            watched(keys)


def test_head_that_another_witness_cosigned_is_not_remembered() -> None:
    note = written_log(7).note()
    with pytest.raises(NoteError):
        Seen.read(note.encode(), COSIGNER.key)


@pytest.mark.parametrize("body", [b"", b"\n", b"x", b"x\n", b"\xff\n", b"\n\n"])
def test_answer_that_has_no_lines_is_refused(body: bytes) -> None:
    with pytest.raises(NoteError):
        parse_cosignatures(body)
    with pytest.raises(NoteError):
        parse_known_size(body)
