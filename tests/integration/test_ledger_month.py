"""A sample month from its records to its evidence: days closed, report issued, bundle exported, all judged again."""

import hashlib
import json
from collections.abc import Iterator
from datetime import date
from itertools import islice
from pathlib import Path
from shutil import copytree
from zipfile import ZipFile

import pytest

from node.ledger.canonical import parse_canonical
from node.ledger.closing import DAYS, DayCloser
from node.ledger.count import count_day, events
from node.ledger.day import Beginning, DayDetail, DayOpen, gather, pieces_of, start_of
from node.ledger.evidence import Edition, export_evidence, newest_report_directory, pack_evidence
from node.ledger.index import open_index
from node.ledger.leaf import Block, Day, Leaf, Report, parse
from node.ledger.logfiles import LogDamaged, LogFiles
from node.ledger.note import Note, verify
from node.ledger.report.document import Issue, document
from node.ledger.report.figures import LedgerMonth
from node.ledger.report.issuing import NOTE, NotOver, issue_report
from node.ledger.report.thresholds import Metric, Profile, Scope, own_profiles
from node.ledger.report.verdicts import trust_of, verdicts_of
from node.ledger.sample import ORIGIN, Sample
from node.ledger.sm2 import CHECKS_WITH_SM2
from node.ledger.statement import Statement
from node.ledger.verify.files import EvidenceFiles
from node.ledger.verify.scrape import Series
from node.ledger.verify.verification import Outcome, Question, verify_evidence

MONTH, FIRST, DAYS_LIVED, RESOLUTIONS = "2026-10", date(2026, 10, 30), 2, 1_500

NOVEMBER = (date(2026, 11, 1) - date(1970, 1, 1)).days
AFTER = start_of(NOVEMBER) + 10**9  # µs: a quarter of an hour after the end


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """The last two days of a month, closed; nobody may change it."""
    directory = tmp_path_factory.mktemp("sample") / "ledger"
    sample = Sample(directory, FIRST, days=DAYS_LIVED, resolutions=RESOLUTIONS)
    assert list(sample.live()) == ["2026-10-30", "2026-10-31"]
    return sample


@pytest.fixture
def own(lived: Sample, tmp_path: Path) -> LogFiles:
    """A copy to be changed."""
    copytree(lived.files.directory, tmp_path / "ledger")
    return LogFiles(tmp_path / "ledger")


def leaves(files: LogFiles) -> Iterator[tuple[int, Leaf]]:
    size = LedgerMonth(files, MONTH).size
    return enumerate(map(parse, files.lines(0, size)))


def days(files: LogFiles) -> list[tuple[int, Day]]:
    return [(at, leaf) for at, leaf in leaves(files) if isinstance(leaf, Day)]


def no_append(leaf: Leaf) -> int:
    raise AssertionError(f"nothing is appended, least of all {leaf}")


def judged(directory: Path, month: LedgerMonth) -> Outcome:
    question = Question(trust=trust_of(month.genesis), period=MONTH, threshold=1_000)
    return verify_evidence(EvidenceFiles(directory), question)


def test_the_figures_of_a_day_follow_from_its_bodies(lived: Sample) -> None:
    for at, day in days(lived.files):
        number = (date.fromisoformat(day.day) - date(1970, 1, 1)).days
        gathered = gather(islice(leaves(lived.files), at), Beginning(), number)
        counted = count_day(pieces_of(gathered, lived.files.read_body), start_of(number))
        assert (day.raw, day.filtered) == counted.resolutions()[1:]
        detail = DayDetail.parse((lived.files.directory / DAYS / f"{day.day}.json").read_bytes())
        assert detail.counted == counted
        assert detail.answered == sum(
            leaf.successes[0] for _, leaf in gathered.blocks if leaf.span[1] < start_of(number + 1)
        )


def test_a_day_is_not_closed_while_a_lane_may_add_to_it(lived: Sample) -> None:
    """Without the last slot, the blocks after midnight, the second day is still open."""
    at = next(at for at, day in days(lived.files) if day.day == "2026-10-31")
    number = (date(2026, 10, 31) - date(1970, 1, 1)).days
    before = [(index, leaf) for index, leaf in islice(leaves(lived.files), at) if not after(leaf)]
    with pytest.raises(DayOpen, match="2026-10-31 is not over for epoch 1 of lane"):
        gather(before, Beginning(), number)


def after(leaf: Leaf) -> bool:
    return isinstance(leaf, Block) and leaf.span[1] >= start_of(NOVEMBER)


@pytest.mark.parametrize("lost", ["next.json", "2026-10-31.json", "index"])
def test_what_a_crash_leaves_of_a_close_is_made_good_without_another_leaf(
    own: LogFiles, lost: str
) -> None:
    kept = {path.name: path.read_bytes() for path in (own.directory / DAYS).iterdir()}
    module = next((own.directory / "index").rglob("v0.20261031.0.zip"))
    zipped = module.read_bytes()
    (own.directory / DAYS / "next.json").unlink()
    if lost == "index":
        next((own.directory / "index/sumdb").rglob("*@v0.20261031.0")).unlink()
    elif lost != "next.json":
        (own.directory / DAYS / lost).unlink()
    closer = DayCloser(own, open_index(own.directory, ORIGIN), no_append)
    assert closer.close_due(AFTER) == ["2026-10-30", "2026-10-31"]
    assert {path.name: path.read_bytes() for path in (own.directory / DAYS).iterdir()} == kept
    assert module.read_bytes() == zipped


def test_a_body_that_was_changed_stops_the_close(own: LogFiles) -> None:
    """The day is closed already: what is counted now is not what its leaf says."""
    body = max((own.directory / "bodies").rglob("*.rec"), key=lambda path: path.stat().st_size)
    body.write_bytes(body.read_bytes()[:-64])
    (own.directory / DAYS / "next.json").unlink()
    closer = DayCloser(own, open_index(own.directory, ORIGIN), no_append)
    with pytest.raises(LogDamaged, match="comes to something else"):
        closer.close_due(AFTER)


def test_each_leaf_is_kept_with_one_day(lived: Sample) -> None:
    """The days' modules together have every leaf up to the last day's once, but for the blocks of the next day."""
    index, found = lived.files.directory / "index/proxy", []
    for path in sorted(index.rglob("*.zip")):
        found += unzipped(path)["leaves.jsonl"].splitlines()
    last = days(lived.files)[-1][0]
    expected = [leaf.line() for at, leaf in leaves(lived.files) if at <= last and not after(leaf)]
    assert sorted(found) == sorted(expected)
    assert len(set(found)) == len(found)


def unzipped(path: Path) -> dict[str, bytes]:
    with ZipFile(path) as archive:
        return {
            name.partition("@")[2].partition("/")[2]: archive.read(name)
            for name in archive.namelist()
        }


def test_the_document_adds_up(lived: Sample) -> None:
    said = json.loads(document(LedgerMonth(lived.files, MONTH), Issue(profiles=own_profiles())))
    totals = said["totals"]
    for name in ("raw", "filtered", "test", "self", "robot", "suspect", "requests"):
        assert totals[name] == sum(day[name] for day in said["by_day"]), name
    for table in ("by_prefix", "by_proto", "by_scheme", "by_hour_profile"):
        assert totals["raw"] == sum(row["raw"] for row in said[table]), table
    more, less = totals["carried"]
    assert (
        said["log"]["answered"]
        == totals["raw"] + totals["prefix_lookups"] + totals["repeats"] + more - less
    )
    assert said["period"]["complete"] is True
    assert said["sample"] is True  # whoever makes it, by the name of the log
    assert [each["cosigned_heads"] for each in said["witnesses"]] == [580, 580]


def test_the_document_is_canonical_and_the_same_each_time(lived: Sample) -> None:
    month, issue = LedgerMonth(lived.files, MONTH), Issue(profiles=own_profiles())
    made = document(month, issue)
    parse_canonical(made)
    assert document(LedgerMonth(lived.files, MONTH), issue) == made


@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize("number", [1, 700, 1_200])
def test_the_leaf_where_a_line_was_crossed_is_the_one(
    lived: Sample, metric: Metric, number: int
) -> None:
    wanted = []
    for name in (30, 31):
        day = (date(2026, 10, name) - date(1970, 1, 1)).days
        gathered = gather(leaves(lived.files), Beginning(), day)
        found = events(pieces_of(gathered, lived.files.read_body), start_of(day))
        wanted += [event for event in found if event.is_filtered or metric is Metric.RAW]
    reached = LedgerMonth(lived.files, MONTH).crossed(metric, Scope.CUMULATIVE, number)
    assert reached is not None
    assert (reached.leaf, reached.time) == (wanted[number - 1].leaf, wanted[number - 1].time)


def test_without_bodies_the_day_is_still_known(own: LogFiles) -> None:
    month = LedgerMonth(own, MONTH)
    with_bodies = month.crossed(Metric.RAW, Scope.YEAR, 700)
    for path in (own.directory / "bodies").rglob("*.rec"):
        path.unlink()
    reached = month.crossed(Metric.RAW, Scope.YEAR, 700)
    assert with_bodies is not None
    assert reached == with_bodies._replace(leaf=None, time=None)


def test_a_condition_passes_or_fails_with_its_margin(lived: Sample) -> None:
    conditions = [
        condition(1, 1_000),
        condition(2, 10**9),
        {"no": 3, "kind": "attachment", "text": both("x"), "shown_by": both("y")},
    ]
    given = {"id": "here", "name": both("here"), "text": both("text"), "conditions": conditions}
    profile = Profile.parse(json.dumps(given).encode())
    month = LedgerMonth(lived.files, MONTH)
    said = json.loads(document(month, Issue(profiles=(profile,))))["thresholds"][0]["conditions"]
    assert [each["standing"] for each in said] == ["pass", "fail", "attached"]
    value = month.value(Metric.FILTERED, Scope.CUMULATIVE)
    assert [each["margin"] for each in said[:2]] == [value - 1_000, value - 10**9]
    assert said[0]["reached"].keys() == {"raw", "filtered"}
    assert said[1]["reached"] == {}


def both(text: str) -> dict[str, str]:
    return {"zh": text, "en": text}


def condition(number: int, least: int) -> dict[str, object]:
    words = {"metric": "filtered", "scope": "cumulative", "text": both("resolutions")}
    return {"no": number, "kind": "resolutions", "at_least": least, **words}


def test_a_file_of_a_day_that_is_not_the_logs_is_refused(own: LogFiles) -> None:
    path = own.directory / DAYS / "2026-10-30.json"
    path.write_bytes(path.read_bytes().replace(b'"clients":', b'"clients":1', 1))
    with pytest.raises(LogDamaged, match=r"2026-10-30\.json"):
        document(LedgerMonth(own, MONTH), Issue())


@pytest.mark.parametrize(("more", "status"), [(0, "PASS"), (500, "FAIL"), (None, "NONE")])
def test_a_scrape_from_outside_is_a_verdict_of_the_report(
    lived: Sample, more: int | None, status: str
) -> None:
    month = LedgerMonth(lived.files, MONTH)
    everything = sum(each.counted.total(lambda _: True).requests for each in month.details)
    watched = [start_of(NOVEMBER - DAYS_LIVED), start_of(NOVEMBER)]
    series: Series = list(zip(watched, (0, everything + (more or 0)), strict=True))
    scrape = None if more is None else [series]
    verdicts = verdicts_of(lived.files.directory, month.genesis, MONTH, scrape)
    assert {each.rule: each.status for each in verdicts}["R3"] == status


def test_a_month_that_is_not_over_is_not_issued(lived: Sample) -> None:
    with pytest.raises(NotOver, match="2026-11"):
        issue_report(LedgerMonth(lived.files, "2026-11"), Issue(), (), no_append)


def test_reports_are_issued_verified_reissued_and_exported(tmp_path: Path) -> None:
    sample = Sample(tmp_path / "ledger", FIRST, days=DAYS_LIVED, resolutions=300)
    assert len(list(sample.live())) == DAYS_LIVED
    issue_it(sample)
    second = issue_it(sample)
    month = LedgerMonth(sample.files, MONTH)
    reports = [leaf for _, leaf in month.reports]
    assert [leaf.version for leaf in reports] == [1, 2]
    assert reports[1].supersedes == reports[0].sha256
    assert second == newest_report_directory(sample.files.directory, MONTH)
    check_signed(second, reports[1], sample)
    export_evidence(sample.files, tmp_path / "evidence", Edition(MONTH, with_bodies=True))
    outcome = judged(tmp_path / "evidence", month)
    assert (
        outcome.findings.code,
        outcome.findings.status("V10"),
        outcome.findings.status("V8"),
    ) == (0, "PASS", "PASS")
    pack_evidence(tmp_path / "evidence", tmp_path / "evidence.tar.gz")
    assert (tmp_path / "evidence.tar.gz").stat().st_size > 100_000


def issue_it(sample: Sample) -> Path:
    month = LedgerMonth(sample.files, MONTH)
    verdicts = verdicts_of(sample.files.directory, month.genesis, MONTH)
    assert {each.status for each in verdicts if each.rule[0] == "V"} <= {"PASS", "INFO"}
    issue = Issue(profiles=own_profiles(), verdicts=verdicts)
    return issue_report(month, issue, (sample.keys.log, sample.keys.sm2), sample.append)


def check_signed(directory: Path, leaf: Report, sample: Sample) -> None:
    note = Note.parse((directory / NOTE).read_bytes())
    keys = (sample.keys.log.key, sample.keys.sm2.key)
    assert len(verify(note, keys, CHECKS_WITH_SM2)) == len(keys)
    stated = Statement.parse(note.text)
    assert (stated.period, stated.version, stated.sha256) == (MONTH, 2, leaf.sha256)
    assert stated.is_of((directory / "report.json").read_bytes())


def test_the_public_edition_has_no_records_and_says_what_it_has(
    lived: Sample, tmp_path: Path
) -> None:
    target = tmp_path / "evidence"
    export_evidence(lived.files, target, Edition(MONTH))
    assert not (target / "bodies").exists()
    assert not list(target.rglob("*.key"))
    (robots,) = (target / "policy").glob("robots-*.json")
    assert robots.stem == "robots-" + hashlib.sha256(robots.read_bytes()).hexdigest()
    for line in (target / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((target / name).read_bytes()).hexdigest() == digest
    outcome = judged(target, LedgerMonth(lived.files, MONTH))
    assert outcome.findings.code == 3  # the bodies that were asked for are not in it


def test_an_export_never_writes_over_another(lived: Sample, tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        export_evidence(lived.files, tmp_path, Edition(MONTH))
