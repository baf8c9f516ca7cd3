"""Editions: the document of a proof as blocks in each language.  A pure function of the bytes of `report.json`."""

import json
import shlex
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from importlib.resources import files

from loadtest.prove import charts
from loadtest.prove.figures import (
    GROUPS,
    cost_rows,
    cpu_slots,
    duration,
    memory_slots,
    micro,
    rate_slots,
    whole_rate,
)
from loadtest.prove.traffic import PROTOCOLS
from node.ledger.quorum import TOPLEVEL
from node.ledger.report.blocks import (
    Beside,
    Block,
    Commands,
    Edition,
    Facts,
    Heading,
    Numbers,
    Paragraph,
    Picture,
    Table,
)
from node.ledger.report.second import qr_code
from node.ledger.report.texts import Document, count, moment
from node.ledger.report.thresholds import LANGUAGES
from node.ledger.report.words import Words

WORDS: Mapping[str, Mapping[str, str]] = json.loads(
    (files("loadtest.prove") / "words.json").read_bytes()
)
COLUMNS = ("client", "ledger", "prometheus", "toplevel")
LIMITS = ("limit_total", "limit_machine", "limit_toplevel", "limit_time")
ERRORS = ("wrong", "lost", "repeated", "reconnects", "unasked")
_COLOUR = dict(zip((*PROTOCOLS,), charts.COLOURS, strict=False))
_SIGNS = {"PASS": "+", "INFO": "+", "FAIL": "-"}


def editions(document: bytes) -> list[Edition]:
    """Return the report in each language.  Raises ValueError, KeyError for what is no document of a proof."""
    said: Document = json.loads(document)
    return [_edition(said, document, Words(language, WORDS)) for language in LANGUAGES]


def _edition(said: Document, document: bytes, words: Words) -> Edition:
    return Edition(
        language=words.language,
        title=words("title"),
        running=words("running", origin=said["origin"], campaign=said["campaign"]["number"]),
        page=words("page", page="{page}"),
        blocks=tuple(_blocks(said, document, words)),
    )


def _blocks(said: Document, document: bytes, words: Words) -> Iterator[Block]:
    yield from _front(said, words)
    yield from _counts(said, words)
    yield from _rate(said, words)
    yield from _latency(said, words)
    yield from _cost(said, words)
    yield from _errors(said, words)
    yield from _verification(said, words)
    yield from _check(said, words)
    yield Heading(words("digest"))
    yield _digest(said, document)
    yield Heading(words("versions"), 3)
    yield Paragraph(" · ".join(f"{k} {v}" for k, v in said["versions"].items()), "small")
    yield Heading(words("limits"), 3)
    for name in LIMITS:
        yield Paragraph(words(name), "small")


def _front(said: Document, words: Words) -> Iterator[Block]:
    yield Heading(words("title"), 1)
    yield Paragraph(words("running", origin=said["origin"], campaign=said["campaign"]["number"]))
    yield Paragraph(words("not_production"), "warning")
    yield _numbers(said, words)
    faults = said["faults"]
    yield Paragraph(words("failed", count=len(faults)) if faults else words("passed"))
    if faults:
        yield Heading(words("faults"), 3)
        yield Table([""], "W", [[fault] for fault in faults])
    yield Facts(_facts(said, words))


def _numbers(said: Document, words: Words) -> Numbers:
    total = said["counts"]["rows"][-1]["client"]
    first = said["asked"][0]
    latency = micro(first["open_loop"]["percentiles"]["99"])
    rate = count(first["open_loop"]["rate"])
    rows = said["counts"]["rows"]
    has_four = all(COLUMNS[-1] in row for row in rows)
    differing = sum(not _is_equal(row) for row in rows) if has_four else None
    return Numbers(
        (
            (words("card_answers"), count(total), words("card_answers_note")),
            (words("card_rate"), count(whole_rate(said["asked"])), words("card_rate_note")),
            (words("card_p99", protocol="UDP"), latency, words("card_p99_note", rate=rate)),
            (words("card_differences"), _known(differing, count), words("card_differences_note")),
        )
    )


def _facts(said: Document, words: Words) -> list[tuple[str, str]]:
    campaign, times, machine = said["campaign"], said["times"], said["machine"]
    opened = {
        "number": campaign["number"],
        "networks": ", ".join(campaign["networks"]),
        "opened": campaign["opened_leaf"],
        "closed": campaign["closed_leaf"],
        "acknowledged": _known(said["acknowledgement"].get("leaf"), str),
    }
    asked = words(
        "asked_value",
        start=moment(times["asking"]),
        end=moment(times["asked"]),
        whole=duration(times["finished"] - times["started"]),
    )
    node = words(
        "node_value",
        version=said["versions"]["idnode"],
        commit=said["versions"].get("commit", "–"),
        workers=said["node"]["workers"],
        own=words("own") if said["node"]["own"] else "",
    )
    named = {name: machine.get(name, "–") for name in ("processor", "cores", "memory")}
    return [
        (words("campaign"), words("campaign_value", **opened)),
        (words("asked_at"), asked),
        (words("node"), node),
        (words("machine"), words("machine_value", **named)),
        (words("system"), f"{machine.get('system', '–')}, {machine.get('kernel', '–')}"),
    ]


def _counts(said: Document, words: Words) -> Iterator[Block]:
    yield Heading(words("counts"))
    others = said["counts"]["others"]
    told = ", ".join(f"{words.known(k, k)} {count(v)}" for k, v in others.items())
    columns = [words("protocol"), *(words(f"column_{name}") for name in COLUMNS)]
    rows = [_count_row(row, words) for row in said["counts"]["rows"]]
    yield Table([*columns, words("column_verdict")], "lrrrrs", rows[:-1], rows[-1])
    yield Paragraph(words("counts_text", others=told or words("others_none")), "small")


def _count_row(row: Document, words: Words) -> list[str]:
    verdict = "+" + words("equal") if _is_equal(row) else "-" + words("unequal")
    if _is_equal(row) and "toplevel" not in row:
        verdict = "-" + words("unconfirmed")
    name = row["protocol"]
    return [words.known(name, name), *(_known(row.get(each), count) for each in COLUMNS), verdict]


def _known(value: int | None, write: Callable[[int], str]) -> str:
    """Write a number; a dash stands for one that nobody has given."""
    return "–" if value is None else write(value)


def _is_equal(row: Document) -> bool:
    """True when those counts are one that there are."""
    return len({row[each] for each in COLUMNS if each in row}) == 1


def _rate(said: Document, words: Words) -> Iterator[Block]:
    yield Heading(words("rate"))
    yield Picture(charts.bars(rate_slots(said["samples"]), count), words("rate_chart"))
    columns = [words(name) for name in ("protocol", "closed", "seconds", "each_second")]
    rows = []
    for asked in said["asked"]:
        loop = asked["closed_loop"]
        each = count(round(loop["answers"] * 1_000_000 / max(loop["took"], 1)))
        rows.append([_named(asked, words), count(loop["answers"]), duration(loop["took"]), each])
    yield Table(columns, "crrr", rows)


def _named(asked: Document, words: Words) -> str:
    return _COLOUR[asked["protocol"]] + words(asked["protocol"])


def _latency(said: Document, words: Words) -> Iterator[Block]:
    yield Heading(words("latency"))
    loops = [asked["open_loop"] for asked in said["asked"]]
    names = sorted(loops[0]["percentiles"], key=float)
    shown = {f"{name} %": [loop["percentiles"][name] for loop in loops] for name in names}
    yield Picture(charts.percentiles(shown, micro), words("latency_chart"))
    columns = [words("protocol"), words("asked_rate"), words("answers")]
    columns += [*(f"{name} %" for name in names), words("longest"), words("generator_late")]
    rows = [
        [
            _named(asked, words),
            count(loop["rate"]),
            count(loop["answers"]),
            *(micro(loop["percentiles"][name]) for name in names),
            micro(loop["longest"]),
            f"{loop['late_by_generator'] / 10_000:.2f} %",
        ]
        for asked, loop in zip(said["asked"], loops, strict=True)
    ]
    yield Table(columns, "crrrrrrrr", rows)
    yield Paragraph(words("latency_text"), "small")


def _cost(said: Document, words: Words) -> Iterator[Block]:
    yield Heading(words("cost"))
    samples = said["samples"]
    yield Picture(charts.bars(cpu_slots(samples), lambda n: f"{n / 1_000:g}"), words("cpu_chart"))
    yield Picture(charts.lines(memory_slots(samples), count), words("memory_chart"))
    columns = [words(n) for n in ("cost_group", "cpu_seconds", "cpu_million", "memory_peak")]
    rows = [
        [colour + words(group), *row]
        for group, colour, row in zip(
            GROUPS, charts.COLOURS, cost_rows(samples, _answers(said)), strict=False
        )
    ]
    yield Table(columns, "crrr", rows)


def _answers(said: Document) -> int:
    return int(said["counts"]["rows"][-1]["client"])


def _errors(said: Document, words: Words) -> Iterator[Block]:
    yield Heading(words("errors"))
    columns = [words("protocol"), *(words(name) for name in ERRORS)]
    rows = [
        [words(asked["protocol"]), *(count(asked[name]) for name in ERRORS)]
        for asked in said["asked"]
    ]
    yield Table(columns, "lrrrrr", rows)


def _verification(said: Document, words: Words) -> Iterator[Block]:
    yield Heading(words("verification"))
    told = said["verification"]
    yield Paragraph(
        words("verification_text", code=told["exit_code"], took=duration(told["took"])), "small"
    )
    rows = [_rule(line) for line in told["lines"]]
    columns = [words("rule"), words("standing"), words("said")]
    yield Table(columns, "lsW", [row for row in rows if row])
    yield Heading(words("acknowledgement"))
    told = said["acknowledgement"]
    if told["note"]:
        yield Paragraph(words("acknowledgement_text"), "small")
        yield Commands(told["note"].rstrip("\n").split("\n"))
    else:
        yield Paragraph(words("acknowledgement_missing", why=told["missing"]), "warning")


def _rule(line: str) -> list[str]:
    """A line of the verifier as a row; figures and verdict have no standing of their own."""
    rule, _, rest = line.partition(" ")
    standing, _, text = rest.partition(" ")
    if standing not in ("PASS", "WARN", "FAIL", "INFO", "SKIP", "NONE"):
        return [rule, "~", rest] if rule and rest else []
    return [rule, _SIGNS.get(standing, "~") + standing, text.strip()]


def _check(said: Document, words: Words) -> Iterator[Block]:
    yield Heading(words("check"))
    yield Paragraph(words("check_text"), "small")
    yield Commands(
        [
            "python -m loadtest check .",
            "idnode audit verify evidence --log-key trust/log.vkey --policy trust/policy.tlog-policy"
            f" --prom prometheus.json --bodies all{_toplevel(said)}",
            "sha256sum report.json && cat report.note",
            "(cd evidence && sha256sum --quiet -c SHA256SUMS)",
            f"""grep -h '"k":"cmp"' evidence/leaves.jsonl | jq 'select(.no=={said["campaign"]["number"]})'""",
        ]
    )
    yield Heading(words("repeat"), 3)
    yield Commands([said["command"]])


def _toplevel(said: Document) -> str:
    """What the verifier has to be told where the policy calls the top-level node something else."""
    name = said["acknowledgement"].get("witness", TOPLEVEL)
    return "" if name == TOPLEVEL else f" --toplevel {shlex.quote(name)}"


def _digest(said: Document, document: bytes) -> Beside:
    lines = [
        f"idnode proof {said['origin']} {said['campaign']['number']}",
        f"sha256 {sha256(document).hexdigest()}",
    ]
    return Beside(qr_code("\n".join(lines)), lines)
