"""The appendix: the way from the log to the figures, other regions' conditions, and the tables."""

from collections.abc import Iterator, Sequence

from node.ledger.report.blocks import Block, Heading, PageBreak, Paragraph, Table
from node.ledger.report.front import threshold
from node.ledger.report.texts import Document, count, moment, per_million
from node.ledger.report.words import Words


def appendix(said: Document, words: Words) -> Iterator[Block]:
    """Return the blocks of the appendix."""
    yield PageBreak()
    yield Heading(words("appendix"), 1)
    yield from _bridge(said, words)
    yield from _prefixes(said, words)
    yield from _days(said, words)
    for profile in said["thresholds"][1:]:
        yield from threshold(profile, words, 3)
    yield from _kinds(said, words)
    yield from _campaigns(said, words)
    yield from _policies(said, words)


def _bridge(said: Document, words: Words) -> Iterator[Block]:
    totals = said["totals"]
    more, less = totals["carried"]
    steps = [
        ("bridge_answered", said["log"]["answered"]),
        ("bridge_carried", less - more),
        ("bridge_prefixes", -totals["prefix_lookups"]),
        ("bridge_repeats", -totals["repeats"]),
        ("bridge_raw", totals["raw"]),
        ("bridge_within", totals["filtered"] - totals["raw"]),
        ("bridge_filtered", totals["filtered"]),
    ]
    yield Heading(words("bridge"))
    rows = [[words(name), count(number).replace("-", "−")] for name, number in steps]
    yield Table(["", words("number")], "wr", [row for row in rows if row[1] != "0"])
    statistics = said["statistics"]
    yield Heading(words("statistics"), 3)
    yield Paragraph(
        words(
            "statistics_value",
            within=per_million(statistics["within_window_ppm"]),
            repeats=per_million(statistics["repeats_ppm"]),
            prefix=per_million(statistics["busiest_prefix_ppm"]),
            prefixes=count(statistics["prefixes_asked_for"]),
            day=statistics["busiest_day"] or "–",
            identifiers=count(totals["identifiers_daily"][1]),
            clients=count(totals["clients_daily"][1]),
        )
    )


def _prefixes(said: Document, words: Words) -> Iterator[Block]:
    names = ("prefix", "scheme", "requests", "raw", "filtered", "failures", "identifiers_day")
    rows = [
        [
            each["prefix"] or words("unregistered"),
            each["scheme"] or "–",
            *(
                count(each[name])
                for name in ("requests", "raw", "filtered", "failures", "identifiers_daily")
            ),
        ]
        for each in said["by_prefix"]
    ]
    yield Heading(words("by_prefix"))
    yield Table(
        [words(name) for name in names], "wlrrrrr", rows, _total(said["by_prefix"], words, 1)
    )


def _days(said: Document, words: Words) -> Iterator[Block]:
    names = ("raw", "filtered", "identifiers", "clients", "test", "self", "robot", "suspect")
    labels = [
        words(f"class_{name}") if name in ("test", "self", "robot", "suspect") else words(name)
        for name in names
    ]
    rows = [
        [each["day"], *(count(each[name]) for name in names), count(each["leaf"])]
        for each in said["by_day"]
    ]
    yield Heading(words("by_day"))
    yield Table([words("day"), *labels, words("leaf")], "lrrrrrrrrr", rows)


def _kinds(said: Document, words: Words) -> Iterator[Block]:
    numbers = ("requests", "raw", "filtered")
    for name, key, word in (("by_proto", "proto", "proto"), ("by_scheme", "scheme", "scheme")):
        rows = [
            [
                words.known(f"{word}_{each[key]}", each[key] or words("unregistered")),
                *(count(each[n]) for n in numbers),
            ]
            for each in said[name]
        ]
        yield Heading(words(name), 3)
        yield Table([words(key), *map(words, numbers)], "wrrr", rows, _total(said[name], words, 0))
    results = [
        [str(each["result"]), each["name"].replace("_", " "), count(each["requests"])]
        for each in said["by_result"]
    ]
    yield Heading(words("by_result"), 3)
    yield Table([words("result"), words("meaning"), words("requests")], "lwr", results)


def _campaigns(said: Document, words: Words) -> Iterator[Block]:
    yield Heading(words("campaigns"), 3)
    if not said["campaigns"]:
        yield Paragraph(words("campaigns_none"))
        return
    names = ("from", "to", "planned", "observed", "announced", "closed")
    rows = [
        [
            str(each["no"]),
            moment(each["from"]),
            moment(each["until"]),
            count(each["planned"]),
            count(each["observed"]) if "observed" in each else "–",
            count(each["opened_leaf"]),
            count(each["closed_leaf"]) if "closed_leaf" in each else "–",
        ]
        for each in said["campaigns"]
    ]
    yield Table(["", *map(words, names)], "lllrrrr", rows)


def _policies(said: Document, words: Words) -> Iterator[Block]:
    yield Heading(words("policies"), 3)
    rows = [
        [str(each["no"]), moment(each["from"]), count(each["leaf"]), each["sha256"]]
        for each in said["policies"]
    ]
    yield Table(["", words("since_time"), words("leaf"), "SHA-256"], "llrm", rows)
    yield Paragraph(words("rules_text", text=said["rules"]["text"]), "small")


def _total(rows: Sequence[Document], words: Words, blank: int) -> list[str]:
    """The last row of a table, none of an empty one."""
    if not rows:
        return []
    names = ("requests", "raw", "filtered", *(["failures"] if "failures" in rows[0] else []))
    sums = [count(sum(each[name] for each in rows)) for name in names]
    return [words("total"), *[""] * blank, *sums, *([""] if "failures" in rows[0] else [])]
