"""Figures of a proof's document, as charts and tables want them.  Pure: from the samples and sums of `report.json`."""

from collections.abc import Sequence

from loadtest.prove.charts import Slot
from loadtest.prove.traffic import PROTOCOLS
from node.ledger.report.texts import Document

GROUPS = ("workers", "rest", "generators")
_SECOND, _MEGABYTE = 1_000_000, 1_000_000


def rate_slots(samples: Sequence[Document]) -> list[Slot]:
    """Answers a second, by protocol."""
    return [
        _slot(each, [each["answers"][name] * _SECOND // _lasted(each) for name in PROTOCOLS])
        for each in samples
    ]


def cpu_slots(samples: Sequence[Document]) -> list[Slot]:
    """Thousandths of a core, by group."""
    return [
        _slot(each, [each["cpu"][group] * _SECOND // _lasted(each) for group in GROUPS])
        for each in samples
    ]


def memory_slots(samples: Sequence[Document]) -> list[Slot]:
    """Megabytes, by group."""
    return [
        _slot(each, [each["memory"][group] // _MEGABYTE for group in GROUPS]) for each in samples
    ]


def cost_rows(samples: Sequence[Document], answers: int) -> list[list[str]]:
    """For each group: processor time, that of a million answers, and the most memory."""
    rows = []
    for group in GROUPS:
        spent = sum(each["cpu"][group] for each in samples)
        most = max((each["memory"][group] for each in samples), default=0)
        million = spent * 1_000 // max(answers // 1_000, 1)
        rows.append(
            [f"{spent / 1_000:,.1f} s", f"{million / 1_000:,.1f} s", f"{most / _MEGABYTE:,.0f} MB"]
        )
    return rows


def whole_rate(asked: Sequence[Document]) -> int:
    """Answers a second of the closed loop, over all protocols."""
    answers: int = sum(each["closed_loop"]["answers"] for each in asked)
    took: int = sum(each["closed_loop"]["took"] for each in asked)
    return answers * _SECOND // max(took, 1)


def micro(us: int) -> str:
    """Return µs as people read them."""
    if us < 1_000:
        return f"{us} µs"
    if us < _SECOND:
        return f"{us / 1_000:.3g} ms"
    return f"{us / _SECOND:.3g} s"


def duration(us: int) -> str:
    """Return seconds with one digit."""
    return f"{us / _SECOND:,.1f} s"


def _slot(each: Document, values: Sequence[int]) -> Slot:
    return Slot(each["at"] - each["lasted"], each["at"], values)


def _lasted(each: Document) -> int:
    return max(int(each["lasted"]), 1)
