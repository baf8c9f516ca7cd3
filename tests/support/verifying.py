"""Asking the verifier, with everything that the auditor of some evidence has."""

import argparse
from collections.abc import Collection
from dataclasses import replace

from node.ledger.sm2 import check_sm2
from node.ledger.verify.checks import Check
from node.ledger.verify.command import add_words, question_of
from node.ledger.verify.files import EvidenceFiles
from node.ledger.verify.verification import Outcome, verify_evidence
from tests.support.evidence import Evidence


def verify(evidence: Evidence, *words: str, off: Collection[Check] = ()) -> Outcome:
    """Verify evidence; `off` are checks that are switched off."""
    parser = argparse.ArgumentParser()
    add_words(parser.add_subparsers(dest="word"))
    arguments = parser.parse_args([*evidence.words, *words])
    arguments.check_sm2 = check_sm2
    question = question_of(arguments)
    return verify_evidence(EvidenceFiles(evidence.directory), replace(question, off=off))
