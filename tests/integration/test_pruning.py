"""Records of days long past go, behind the leaf that says so; the day's figures and the log stay as they are."""

from datetime import date
from pathlib import Path

import pytest

from node.ledger.closing import DAYS
from node.ledger.leaf import KEEP_DAYS, Pruning, parse
from node.ledger.logfiles import BODIES, KEYS
from node.ledger.monthkeys import MonthKeys
from node.ledger.pruning import Pruned, TooYoung, Wish, prune
from node.ledger.sample import Sample
from node.ledger.verify.checks import Check
from node.ledger.verify.files import EvidenceFiles
from node.ledger.verify.findings import Status
from node.ledger.verify.trust import read_trust
from node.ledger.verify.verification import Question, verify_evidence

DAY, LAST = "2026-10-30", "2026-10-31"
DAY_US = 86_400_000_000
OVER = 1_793_462_400_000_000  # the end of LAST, µs


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """The last two days of a month, lived and closed; the last test of the module prunes them."""
    made = Sample(
        tmp_path_factory.mktemp("log") / "ledger", date(2026, 10, 30), days=2, resolutions=300
    )
    for _ in made.live():
        pass
    return made


def leaves(sample: Sample) -> list[Pruning]:
    size = sample.files.head_sizes()[-1]
    found = map(parse, sample.files.lines(0, size))
    return [leaf for leaf in found if isinstance(leaf, Pruning)]


def pruned(sample: Sample, days_later: int, wish: Wish = Wish()) -> Pruned:  # noqa: B008
    return prune(sample.files, wish, OVER + days_later * DAY_US, sample.append)


def bodies(sample: Sample) -> list[Path]:
    return sorted((sample.files.directory / BODIES).rglob("*.rec"))


def test_nothing_goes_when_one_only_looks(sample: Sample) -> None:
    before = bodies(sample)
    assert pruned(sample, KEEP_DAYS, Wish(is_dry=True)).bodies == len(before)
    assert bodies(sample) == before
    assert leaves(sample) == []


def test_day_that_is_not_closed_stays(sample: Sample) -> None:
    detail = sample.files.directory / DAYS / f"{LAST}.json"
    aside = detail.rename(detail.with_suffix(".aside"))
    with pytest.raises(TooYoung, match="not closed"):
        pruned(sample, KEEP_DAYS)
    aside.rename(detail)
    assert leaves(sample) == []


def test_leaf_says_no_more_than_what_is_closed(tmp_path: Path) -> None:
    """A node that was switched off for long has days without records, which nobody has closed."""
    made = Sample(tmp_path / "ledger", date(2026, 10, 30), days=2, resolutions=300)
    for _ in made.live():
        pass
    done = pruned(made, KEEP_DAYS + 10, Wish())
    assert done.bodies > 0
    assert [leaf.until for leaf in leaves(made)] == [LAST]
    check_verdict(made.files.directory, tmp_path / "policy")


def test_what_is_old_enough_goes_behind_its_leaf(sample: Sample, tmp_path: Path) -> None:
    """Day by day, with the keys of whole months; what a crash leaves goes the next time."""
    before, keys = bodies(sample), MonthKeys(sample.files.directory / KEYS)
    for month in ("2026-10", "2026-11"):
        keys.key(month)
    with pytest.raises(TooYoung, match=f"{DAY} is the last day that may go"):
        pruned(sample, KEEP_DAYS - 1, Wish(LAST))
    done = pruned(sample, KEEP_DAYS - 1, Wish(with_keys=True))
    assert (done.until, done.keys) == (DAY, ())
    assert 0 < done.bodies == len(before) - len(bodies(sample)) < len(before)

    assert pruned(sample, KEEP_DAYS, Wish(with_keys=True)).keys == ("2026-10",)
    assert [keys.path(month).exists() for month in ("2026-10", "2026-11")] == [False, True]
    (sample.files.directory / BODIES / "2026/10/30").mkdir(parents=True)
    pruned(sample, KEEP_DAYS)
    assert not list((sample.files.directory / BODIES).glob("*/*/*"))
    assert [leaf.until for leaf in leaves(sample)] == [DAY, LAST]
    assert (sample.files.directory / DAYS / f"{DAY}.json").exists()
    check_verdict(sample.files.directory, tmp_path / "policy")


def check_verdict(ledger: Path, policy: Path) -> None:
    """The verifier believes the log."""
    policy.write_text("quorum none\n")
    question = Question(trust=read_trust(ledger / KEYS / "log.vkey", policy))
    findings = verify_evidence(EvidenceFiles(ledger), question).findings
    assert not {check for check in findings.counts if check.rule in ("V5", "V8")}, findings.lines()
    assert "not checkable, pruned on" in findings.line("V5")
    assert findings.status("V7") is Status.SKIP
    assert Check.V5_PRUNED not in findings.counts
