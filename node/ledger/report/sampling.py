"""The whole of a sample: ledger, report and evidence of a made-up month, for who wants to see and try one.

ledger/      as a node has it          trust/   what an auditor would have from somebody else
evidence-sample.invalid-2026-10/       what he is given
"""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from shutil import copyfile

from node.ledger.evidence import Edition, archive_name, export_evidence
from node.ledger.index import PUBLIC as INDEX_KEY
from node.ledger.logfiles import KEYS, POLICY
from node.ledger.report.document import Issue
from node.ledger.report.figures import LedgerMonth
from node.ledger.report.issuing import issue_report, preliminary_report
from node.ledger.report.months import days_of
from node.ledger.report.thresholds import own_profiles
from node.ledger.report.verdicts import verdicts_of
from node.ledger.sample import ORIGIN, RESOLUTIONS, Sample
from node.ledger.signing import PUBLIC as LOG_KEY
from node.ledger.tags import day_name

LEDGER, TRUST, POLICY_FILE = "ledger", "trust", "policy.tlog-policy"
OPERATOR = "样例运营公司 (sample operator)"


def make_sample(
    directory: Path, month: str, *, days: int | None = None, resolutions: int = RESOLUTIONS
) -> Iterator[str]:
    """Make everything in a directory that is not there yet, and tell each step when it is done.

    With `days` the month is cut short, and its report is a preliminary one.
    Raises ValueError for what is no month, FileExistsError, OSError.
    """
    first = date.fromisoformat(day_name(days_of(month).start))
    sample = Sample(directory / LEDGER, first, days=days, resolutions=resolutions)
    yield from sample.live()
    told = LedgerMonth(sample.files, month)
    issue = Issue(
        operator=OPERATOR,
        profiles=own_profiles(),
        verdicts=verdicts_of(directory / LEDGER, told.genesis, month),
    )
    signers = (sample.keys.log, sample.keys.sm2)
    if told.is_complete:
        issue_report(told, issue, signers, sample.append)
    else:
        preliminary_report(told, issue, signers, directory / "preliminary")
    yield "report"
    evidence = directory / archive_name(ORIGIN, month)
    export_evidence(sample.files, evidence, Edition(month, with_bodies=True))
    _give_trust(directory)
    yield evidence.name


def _give_trust(directory: Path) -> None:
    ledger, trust = directory / LEDGER, directory / TRUST
    trust.mkdir()
    for path in (ledger / KEYS / LOG_KEY, ledger / KEYS / INDEX_KEY, ledger / POLICY / POLICY_FILE):
        copyfile(path, trust / path.name)
