"""Verdicts: what the verifier says of a month when its report is made: the operator's own run, for all to repeat."""

from dataclasses import replace
from pathlib import Path

from node.ledger.durable import read_if_there
from node.ledger.keys import SignatureType, VerifierKey
from node.ledger.leaf import Genesis
from node.ledger.logfiles import KEYS
from node.ledger.monthkeys import MonthKeys
from node.ledger.quorum import TOPLEVEL, Log, Policy
from node.ledger.report.document import Verdict
from node.ledger.verify.checks import RULES
from node.ledger.verify.files import EvidenceFiles
from node.ledger.verify.scrape import Series
from node.ledger.verify.trust import Trust
from node.ledger.verify.verification import Question, verify_evidence

_OWN_RULE = "V10"


def verdicts_of(
    directory: Path, genesis: Genesis, month: str, scrape: list[Series] | None = None
) -> list[Verdict]:
    """Verify a ledger's own directory by the quorum that its log began with, and with the month's key if it is here.

    `scrape` is what a Prometheus outside of the node has of the month.  V10 is left out: it judges the report, which is
    not made yet.  Raises Unreadable, PolicyError, OSError.
    """
    key = read_if_there(MonthKeys(directory / KEYS).path(month))
    question = Question(
        trust=trust_of(genesis),
        period=month,
        month_keys=() if key is None else (bytes.fromhex(key.decode("ascii")),),
        scrape=scrape,
    )
    findings = verify_evidence(EvidenceFiles(directory), question).findings
    return [
        Verdict(rule, str(findings.status(rule)), findings.line(rule).split(None, 2)[2])
        for rule in RULES
        if rule != _OWN_RULE
    ]


def trust_of(genesis: Genesis) -> Trust:
    """Return whom the log itself says is to be believed; an auditor has that from somebody else."""
    policy = Policy.parse((genesis.policy or "quorum none\n").encode())
    keys = [
        key for key in map(VerifierKey.parse, genesis.keys) if key.type is SignatureType.ED25519
    ]
    asked = policy.acknowledging()
    toplevel = policy.named(TOPLEVEL) or (() if asked is None else (asked,))
    return Trust(genesis.origin, replace(policy, logs=tuple(map(Log, keys))), toplevel)
