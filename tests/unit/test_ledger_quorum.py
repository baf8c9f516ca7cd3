"""Policies: which lines are refused and why, and which checkpoints are to be believed."""

from itertools import chain, combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.ledger.checkpoint import Checkpoint, Cosigner
from node.ledger.keys import NoteError
from node.ledger.note import Ed25519Signer, Note, Signature, SignatureError, Unsigned
from node.ledger.quorum import (
    MAX_GROUPS,
    MAX_POLICY_BYTES,
    Group,
    Policy,
    PolicyError,
)
from node.ledger.sm2 import CHECKS_WITH_SM2, Sm2Signer
from node.ledger.tlog import EMPTY_ROOT
from resolver.keys import sm
from tests.support.logs import SECONDS, seed

LOG = Ed25519Signer("log.example", seed("log"))
OTHER_LOG = Ed25519Signer("other.example", seed("other log"))
X1, X2, X3, Y1, Y2, Y3 = WITNESSES = [
    Cosigner(f"{name}.example", seed(name)) for name in ("x1", "x2", "x3", "y1", "y2", "y3")
]
CHECKPOINT = Checkpoint(LOG.name, 8, EMPTY_ROOT)
SIGNED = Note(CHECKPOINT.text).signed(LOG.sign(CHECKPOINT.text))

TWO_LEVELS = f"""\
# as in the specification
log {LOG.key}

witness X1 {X1.key}
witness X2\t{X2.key}   https://x2.example/w
  witness X3 {X3.key}
group X-witnesses 2 X1 X2 X3

witness Y1 {Y1.key}
witness Y2 {Y2.key}
witness Y3 {Y3.key}
group Y-witnesses any Y1 Y2 Y3
\t# and together
group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
"""


def cosigned(*witnesses: Cosigner) -> Note:
    return SIGNED.signed(*(witness.cosign(CHECKPOINT, SECONDS) for witness in witnesses))


def policy(*lines: str) -> Policy:
    return Policy.parse("\n".join([f"log {LOG.key}", *lines, ""]).encode())


def test_quorum_of_two_levels_is_met_by_exactly_the_right_sets() -> None:
    read = Policy.parse(TWO_LEVELS.encode())
    for chosen in chain.from_iterable(combinations(WITNESSES, count) for count in range(7)):
        few_x = len({X1.name, X2.name, X3.name} & {witness.name for witness in chosen}) < 2
        no_y = not {Y1.name, Y2.name, Y3.name} & {witness.name for witness in chosen}
        assert read.is_met(cosigned(*chosen)) is not (few_x or no_y)


def test_policy_keeps_what_its_lines_say() -> None:
    read = Policy.parse(TWO_LEVELS.encode())
    assert [log.key for log in read.logs] == [LOG.key]
    assert [witness.name for witness in read.witnesses] == ["X1", "X2", "X3", "Y1", "Y2", "Y3"]
    assert [witness.url for witness in read.witnesses][:3] == ["", "https://x2.example/w", ""]
    assert read.groups[:2] == (
        Group("X-witnesses", 2, ("X1", "X2", "X3")),
        Group("Y-witnesses", 1, ("Y1", "Y2", "Y3")),
    )


def test_examination_says_who_saw_it_and_when() -> None:
    read = policy(f"witness top {X1.key}", f"witness auditor {X2.key}", "quorum top")
    found = read.examine(cosigned(X1, Y1))
    assert (found.checkpoint, found.witnesses, found.is_met) == (CHECKPOINT, {"top": SECONDS}, True)
    assert not read.examine(cosigned(X2)).is_met


def test_witness_that_cosigned_twice_saw_it_the_first_time_and_counts_once() -> None:
    read = policy(f"witness a {X1.key}", f"witness b {X2.key}", "group g 2 a b", "quorum g")
    lines = tuple(X1.cosign(CHECKPOINT, SECONDS + late) for late in (5, 0, 9))
    found = read.examine(Note(SIGNED.text, (*SIGNED.signatures, *lines)))
    assert (found.witnesses, found.is_met) == ({"a": SECONDS}, False)


def test_log_must_be_listed_and_sign_itself() -> None:
    read = policy(f"witness top {X1.key}", "quorum top")
    unsigned = Note(CHECKPOINT.text).signed(X1.cosign(CHECKPOINT, SECONDS))
    by_other = unsigned.signed(OTHER_LOG.sign(CHECKPOINT.text))
    for note in (unsigned, by_other):
        assert not read.is_met(note)
        with pytest.raises(Unsigned):
            read.examine(note)


def test_any_of_the_listed_logs_will_do() -> None:
    read = policy(f"log {OTHER_LOG.key} https://other.example/", "quorum none")
    other = Checkpoint(OTHER_LOG.name, 1, EMPTY_ROOT).text
    assert read.is_met(Note(other).signed(OTHER_LOG.sign(other)))
    assert read.is_met(SIGNED)


def test_log_that_signs_with_sm2_alone_is_believed_by_who_can_check_it() -> None:
    signer = Sm2Signer("sm2.example", sm.Sm2PrivateKey.from_scalar(seed("sm2")))
    read = Policy.parse(f"log {signer.key}\nquorum none\n".encode())
    text = Checkpoint(signer.name, 1, EMPTY_ROOT).text
    note = Note(text).signed(signer.sign(text))
    assert read.is_met(note, CHECKS_WITH_SM2)
    assert not read.is_met(note)


def test_policy_without_a_log_believes_nothing() -> None:
    assert not Policy.parse(b"quorum none\n").is_met(SIGNED)


@pytest.mark.parametrize("wrong", [X1, X2])
def test_wrong_cosignature_of_any_listed_witness_spoils_the_checkpoint(wrong: Cosigner) -> None:
    read = policy(f"witness top {X1.key}", f"witness spare {X2.key}", "quorum top")
    note = cosigned(X1).signed(wrong.cosign(Checkpoint(LOG.name, 9, EMPTY_ROOT), SECONDS))
    assert not read.is_met(note)
    with pytest.raises(SignatureError, match="is wrong"):
        read.examine(note)


def test_note_that_is_no_checkpoint_is_not_met() -> None:
    read, text = policy("quorum none"), "hello\n"
    assert not read.is_met(Note(text).signed(LOG.sign(text)))
    with pytest.raises(NoteError):
        read.examine(Note(text, (Signature("a", b"1234", b"5"),)))


A, B = f"witness a {X1.key}", f"witness b {X2.key}"
SAME_KEY = f"witness c {Cosigner('another.name', seed('x1')).key}"
SOME_LINES = [*TWO_LEVELS.splitlines(), "quorum none", "log", "group a 1 X1", "\x00"]
SAME_LOG = f"log {Ed25519Signer('another.name', seed('log')).key}"


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([], "no quorum line"),
        (["quorum a"], "'a' is not defined above"),
        (["quorum none", "quorum none"], "line 3 of the policy: there is one quorum line"),
        (["quorum"], "there is one quorum line"),
        (["quorum none a"], "there is one quorum line"),
        ([f"log {LOG.key}", "quorum none"], "this log is listed above"),
        ([SAME_LOG, "quorum none"], "this log is listed above"),
        (["log", "quorum none"], "it is: log"),
        ([f"log {LOG.key} url more", "quorum none"], "it is: log"),
        (["log abc", "quorum none"], "line 2 of the policy: a key is a name"),
        ([f"log {X1.key}", "quorum none"], "COSIGNATURE does not belong here"),
        ([f"witness a {LOG.key}", "quorum a"], "ED25519 does not belong here"),
        ([A, A, "quorum a"], "listed above"),
        ([A, SAME_KEY, "quorum a"], "the key of this witness is listed above"),
        ([A, f"witness a {X2.key}", "quorum a"], "the name 'a' is taken"),
        ([f"witness none {X1.key}", "quorum none"], "the name 'none' is taken"),
        (["witness a", "quorum a"], "it is: witness"),
        ([A, B, "group a any b", "quorum a"], "the name 'a' is taken"),
        ([A, "group none any a", "quorum none"], "the name 'none' is taken"),
        ([A, "group g any", "quorum g"], "it is: group"),
        ([A, "group g any none", "quorum g"], "'none' is not defined above"),
        ([A, "group g any g", "quorum g"], "'g' is not defined above"),
        ([A, "group g any b", B, "quorum g"], "'b' is not defined above"),
        ([A, "group g any a a", "quorum g"], "'a' is not defined above, or a member already"),
        ([A, "group g any a", "group h any a", "quorum h"], "a member already"),
        ([A, "group g 0 a", "quorum g"], "not '0'"),
        ([A, "group g 2 a", "quorum g"], "not '2'"),
        ([A, "group g 01 a", "quorum g"], "not '01'"),
        ([A, "group g -1 a", "quorum g"], "not '-1'"),
        ([A, f"group g {'9' * 5000} a", "quorum g"], "members"),
        ([A, "group g some a", "quorum g"], "not 'some'"),
        (["threshold 2", "quorum none"], "'threshold' begins no line"),
        (["Quorum none"], "'Quorum' begins no line"),
        (["quorum none\r"], "control characters"),
        (["quorum none # really"], "one quorum line"),
        (["# \x7f", "quorum none"], "control characters"),
        (["quorum\u00a0none"], "begins no line"),
    ],
)
def test_policy_that_is_wrong_is_refused_with_its_line_and_reason(
    lines: list[str], reason: str
) -> None:
    with pytest.raises(PolicyError, match=reason):
        policy(*lines)


def test_names_are_bytes() -> None:
    kelvin = f"log {LOG.key}\nwitness K {X1.key}\nquorum \u212a\n".encode()
    with pytest.raises(PolicyError, match="not defined above"):
        Policy.parse(kelvin)
    latin = f"log {LOG.key}\nwitness ".encode() + b"\xe9" + f" {X1.key}\nquorum ".encode() + b"\xe9"
    assert Policy.parse(latin).is_met(cosigned(X1))


def test_limits_are_those_that_the_specification_recommends_or_wider() -> None:
    def lines(count: int) -> list[str]:
        signers = [Cosigner(f"w{number}", seed(f"w{number}")) for number in range(count)]
        witnesses = [f"witness w{number} {signer.key}" for number, signer in enumerate(signers)]
        return witnesses + [f"group g{number} any w{number}" for number in range(count)]

    assert len(policy(*lines(32), "quorum g1").groups) == 32
    with pytest.raises(PolicyError, match=f"at most {MAX_GROUPS} lines"):
        policy(*lines(MAX_GROUPS + 1), "quorum g1")
    with pytest.raises(PolicyError, match="at most 262144 bytes"):
        Policy.parse(b"#" * (MAX_POLICY_BYTES + 1))


@given(st.lists(st.sampled_from(SOME_LINES) | st.text(max_size=20)))
def test_any_lines_are_a_policy_or_refused(lines: list[str]) -> None:
    try:
        read = Policy.parse("\n".join(lines).encode(errors="replace"))
    except PolicyError:
        return
    assert read.is_met(cosigned(*WITNESSES)) in {True, False}


@given(st.binary(max_size=200))
def test_any_bytes_are_a_policy_or_refused(data: bytes) -> None:
    try:
        Policy.parse(data)
    except PolicyError:
        return
    assert b"quorum" in data


def test_the_witness_called_toplevel_is_asked_to_acknowledge_before_any_other() -> None:
    auditor, top = (
        f"witness auditor {X1.key} http://auditor",
        f"witness toplevel {X2.key} http://top",
    )
    both = policy(auditor, top, "quorum none").acknowledging()
    other = policy(auditor, f"witness spare {X2.key} http://spare", "quorum none").acknowledging()
    assert (both and both.name, other and other.name) == ("toplevel", "auditor")
    assert policy(f"witness toplevel {X2.key}", "quorum none").acknowledging() is None


def test_where_the_top_level_node_has_no_url_nobody_is_asked_in_its_place() -> None:
    """An auditor's verifier believes the witness of that name: what another signs is of no use."""
    other = f"witness auditor {X1.key} http://auditor"
    read = policy(other, f"witness toplevel {X2.key}", "quorum none")
    assert read.acknowledging() is None


def test_the_witnesses_of_a_group_go_by_its_name() -> None:
    lines = (f"witness old {X1.key}", f"witness new {X2.key}", "group inner any new")
    read = policy(*lines, "group toplevel any old inner", "quorum toplevel")
    assert [each.name for each in read.named("toplevel")] == ["old", "new"]
    assert [each.name for each in read.named("old")] == ["old"]
    assert read.named("nobody") == ()
