"""The made-up records: the same for the same seed, and what the load tests rely on."""

from collections import Counter
from itertools import islice
from pathlib import Path

import orjson
import pytest

from loadtest import corpus


def test_the_same_seed_makes_the_same_lines_and_another_seed_others() -> None:
    first = [orjson.dumps(line) for line in corpus.records(300, seed=5)]
    assert first == [orjson.dumps(line) for line in corpus.records(300, seed=5)]
    assert first != [orjson.dumps(line) for line in corpus.records(300, seed=6)]


def test_a_larger_corpus_begins_with_the_smaller_one() -> None:
    smaller = list(corpus.records(200))
    assert list(islice(corpus.records(1000), 200)) == smaller


@pytest.mark.parametrize("count", [0, 1, 11, 12, 500])
def test_a_corpus_has_as_many_lines_as_asked_for(count: int) -> None:
    assert sum(1 for _ in corpus.records(count)) == count


def test_identifiers_are_unique_and_can_be_named_by_number() -> None:
    lines = [line for line in corpus.records(5_000, seed=3) if "0.NA/" not in str(line["handle"])]
    listed = list(corpus.handles(5_000, seed=3))
    assert [line["handle"] for line in lines] == listed
    assert len({handle.upper() for handle in listed}) == len(listed)
    assert [corpus.handle_at(number, seed=3) for number in (0, 77)] == [listed[0], listed[77]]


def test_the_showcase_is_in_every_corpus_that_has_records() -> None:
    assert next(corpus.handles(12)) == corpus.SHOWCASE
    assert corpus.SHOWCASE in {line["handle"] for line in corpus.records(12)}


def test_every_enterprise_has_a_prefix_record_and_about_its_share_of_records() -> None:
    seen = Counter(
        next(each.prefix for each in corpus.ENTERPRISES if _is_under(handle, each.prefix))
        for handle in corpus.handles(10_000)
    )
    for each in corpus.ENTERPRISES:
        assert seen[each.prefix] == pytest.approx(10_000 * each.share / 64, rel=0.3)


def _is_under(handle: str, prefix: str) -> bool:
    return handle.startswith((prefix, "gs1:01/0" + prefix.removeprefix("gs1:")))


def test_some_records_have_restricted_values_and_one_prefix_is_delegated() -> None:
    lines = list(corpus.records(2_000))
    restricted = [line for line in lines if b'"permissions":"1100"' in orjson.dumps(line)]
    delegated = [line["handle"] for line in lines if line.get("delegated")]
    assert len(restricted) == 10
    assert delegated == [f"0.NA/{corpus.DELEGATED_PREFIX}"]


def test_the_command_writes_one_json_object_a_line(tmp_path: Path) -> None:
    out = tmp_path / "corpus.ndjson"
    corpus.main(["--records", "50", "--seed", "2", "--out", str(out)])
    lines = [orjson.loads(line) for line in out.read_bytes().splitlines()]
    assert lines == list(corpus.records(50, seed=2))


@pytest.mark.parametrize("exponent", [0.7, 0.99, 1.0, 1.3])
def test_zipf_ranks_are_drawn_as_often_as_the_law_says(exponent: float) -> None:
    sampler = corpus.ZipfSampler(1_000, seed=1, exponent=exponent)
    drawn = Counter(sampler.rank() for _ in range(40_000))
    weights = [rank**-exponent for rank in range(1, 1_001)]
    for rank in (1, 2, 3, 10):
        assert drawn[rank] == pytest.approx(40_000 * weights[rank - 1] / sum(weights), rel=0.15)
    assert min(drawn) >= 1
    assert max(drawn) <= 1_000


@pytest.mark.parametrize("count", [1, 2, 10, 999, 1_000])
def test_zipf_numbers_reach_every_record_and_no_other(count: int) -> None:
    sampler = corpus.ZipfSampler(count)
    assert {(rank * sampler._stride) % count for rank in range(count)} == set(range(count))
    assert all(0 <= sampler.number() < count for _ in range(100))
