"""The first page: the number, what the policy asks for, the verdicts, the gaps, the witnesses."""

from collections.abc import Iterator

from node.ledger.report import charts
from node.ledger.report.blocks import Block, Facts, Heading, Numbers, Paragraph, Picture, Table
from node.ledger.report.texts import Document, count, day, moment
from node.ledger.report.thresholds import Metric, Standing
from node.ledger.report.words import Words

_SIGNS = {Standing.PASS: "+", Standing.FAIL: "-", Standing.ATTACHED: "~"}
_VERDICT_SIGNS = {"PASS": "+", "FAIL": "-", "WARN": "~"}
_SHOWN_GAPS = 6  # on the first page; the document has all


def front(said: Document, words: Words) -> Iterator[Block]:
    """Return the blocks of the first page."""
    yield Heading(words("title"), 1)
    yield Paragraph(" · ".join(_subtitle(said, words)))
    yield from _marks(said, words)
    yield Facts(_facts(said, words))
    yield _numbers(said, words)
    yield Paragraph(words("definitions"), "small")
    if said["thresholds"]:
        yield from threshold(said["thresholds"][0], words)
    yield from _verdicts(said, words)
    yield from _gaps(said, words)
    yield from _witnesses(said, words)


def threshold(profile: Document, words: Words, level: int = 2) -> Iterator[Block]:
    """Return what is said of one profile."""
    language = words.language
    yield Heading(words("thresholds", name=profile["name"][language]), level)
    yield Paragraph(profile["text"][language], "small")
    for each in profile["conditions"]:
        if "value" in each and level == 2:
            yield Picture(charts.progress(each["value"], each["at_least"]), _progress(each, words))
    rows = [_condition(each, words) for each in profile["conditions"]]
    yield Table(["", words("condition"), words("standing"), words("shown_by")], "lwsW", rows)


def _progress(said: Document, words: Words) -> str:
    return words(
        "progress",
        scope=words(f"scope_{said['scope']}"),
        metric=words(f"metric_{said['metric']}"),
        value=count(said["value"]),
        target=count(said["at_least"]),
    )


def _condition(said: Document, words: Words) -> list[str]:
    standing = Standing(said["standing"])
    shown = (
        said["shown_by"][words.language] if "shown_by" in said else "\n".join(_shown(said, words))
    )
    name = words(f"standing_{standing}")
    return [str(said["no"]), said["text"][words.language], _SIGNS[standing] + name, shown]


def _shown(said: Document, words: Words) -> Iterator[str]:
    """How far it is, by the metric that the condition names; then where each metric crossed the line."""
    name = "over" if said["margin"] >= 0 else "under"
    yield words(
        name,
        scope=words(f"scope_{said['scope']}"),
        metric=words(f"metric_{said['metric']}"),
        value=count(said["value"]),
        margin=count(abs(said["margin"])),
    )
    for metric in (Metric.FILTERED, Metric.RAW):
        where, values = said["reached"].get(metric), {"metric": words(f"metric_{metric}")}
        if where is None:
            continue
        if "leaf" in where:
            yield words(
                "crossed_at",
                time=moment(where["t"]),
                leaf=count(where["leaf"]),
                **values,
            )
        else:
            yield words("crossed", day=where["day"], leaf=count(where["day_leaf"]), **values)


def _subtitle(said: Document, words: Words) -> Iterator[str]:
    year, month = said["period"]["month"].split("-")
    yield words("month", year=year, month=month if words.language == "en" else str(int(month)))
    yield said["origin"]
    yield words("version", version=said["report_version"])


def _marks(said: Document, words: Words) -> Iterator[Block]:
    if said["sample"]:
        yield Paragraph(words("sample"), "warning")
    if not said["period"]["complete"]:
        yield Paragraph(words("preliminary", days=len(said["period"]["days"])), "warning")
    if "supersedes" in said:
        yield Paragraph(words("supersedes", digest=said["supersedes"]), "warning")


def _facts(said: Document, words: Words) -> list[tuple[str, str]]:
    period = said["period"]
    value = words(
        "period_value",
        start=day(period["start"]),
        end=day(period["end"]),
        utc_start=period["utc"][0],
        utc_end=period["utc"][1],
    )
    named = [(words("node"), said["node"]["name"])]
    named += [
        (words(name), said["node"][name]) for name in ("operator", "licence") if said["node"][name]
    ]
    return [*named, (words("period"), value)]


def _numbers(said: Document, words: Words) -> Numbers:
    totals, overall = said["totals"], said["cumulative"]
    since = words("since", day=overall["since"]) if overall["since"] else ""
    return Numbers(
        [
            (words("filtered_month"), count(totals["filtered"]), said["period"]["month"]),
            (words("raw_month"), count(totals["raw"]), said["period"]["month"]),
            (words("filtered_all"), count(overall["cumulative"]["filtered"]), since),
            (words("raw_all"), count(overall["cumulative"]["raw"]), since),
        ]
    )


def _verdicts(said: Document, words: Words) -> Iterator[Block]:
    yield Heading(words("verdicts"))
    if not said["reconciliation"]:
        yield Paragraph(words("verdicts_none"))
        return
    rows = [
        [
            each["rule"],
            words.known(f"rule_{each['rule']}", ""),
            _VERDICT_SIGNS.get(each["verdict"], " ")
            + words.known(f"verdict_{each['verdict']}", each["verdict"]),
            each["text"],
        ]
        for each in said["reconciliation"]
    ]
    columns = ["", *(words(name) for name in ("rule", "verdict", "detail"))]
    yield Table(columns, "llsw", rows)
    yield Paragraph(words("verdicts_note"), "small")


def _gaps(said: Document, words: Words) -> Iterator[Block]:
    yield Heading(words("gaps"))
    if not said["gaps"]:
        yield Paragraph(words("gaps_none"))
        return
    columns = [words(name) for name in ("lane", "from", "to", "bound", "cause", "leaf")]
    shown = sorted(said["gaps"], key=lambda each: -each["bound"])[:_SHOWN_GAPS]
    rows = [
        [
            f"{each['lane']}.{each['epoch']}",
            moment(each["from"]),
            moment(each["to"]),
            count(each["bound"]),
            words.known(f"cause_{each['cause']}", each["cause"]),
            count(each["leaf"]),
        ]
        for each in shown
    ]
    hidden = len(said["gaps"]) - len(shown)
    yield Table(
        columns, "lllrwr", rows + ([["…", f"+ {hidden}", "", "", "", ""]] if hidden else [])
    )
    yield Paragraph(words("gaps_note", bound=count(said["uncounted_upper_bound"])), "small")


def _witnesses(said: Document, words: Words) -> Iterator[Block]:
    yield Heading(words("witnesses"))
    if not said["witnesses"]:
        yield Paragraph(words("witnesses_none"), "warning")
        return
    columns = [words(name) for name in ("witness", "heads", "longest", "key")]
    rows = [
        [
            each["name"],
            count(each["cosigned_heads"]),
            words("seconds", seconds=count(each["longest_gap_s"]))
            if each["cosigned_heads"]
            else "–",
            each["key"],
        ]
        for each in said["witnesses"]
    ]
    yield Table(columns, "lrrm", rows)
