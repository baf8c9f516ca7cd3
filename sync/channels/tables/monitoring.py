"""M1, M2 and E: how the node and its enterprise nodes did in a day, and when something broke and was mended.

Annex 2 asks for twelve figures a day and for state events at once.  Without a resolution or a registration in the day
there is no latency: its figures are then left out, all together (ours).  Days are those of Asia/Shanghai, times UTC.
"""

from decimal import Decimal

from sync.channels.cadence import Cadence
from sync.channels.tables.kind import (
    Choice,
    Code,
    Day,
    Fault,
    Field,
    Milliseconds,
    Moment,
    Number,
    Row,
    Text,
)
from sync.channels.tables.table import Table

_LATENCIES = {"resolution": "解析", "registration": "注册"}
_PEAK = ("resolution_peak", "resolution_peak_at")


def _latency(what: str, chinese: str) -> tuple[Field, ...]:
    return (
        Field(f"{what}_mean", f"{chinese}时延均值", Milliseconds(), required=False),
        Field(f"{what}_max", f"{chinese}时延最大值", Milliseconds(), required=False),
        Field(f"{what}_max_at", f"{chinese}时延最大值时间", Moment(), required=False),
        Field(f"{what}_min", f"{chinese}时延最小值", Milliseconds(), required=False),
        Field(f"{what}_min_at", f"{chinese}时延最小值时间", Moment(), required=False),
    )


def _figures_fit(row: Row, above: str) -> None:
    _all_or_none(row, above, _PEAK)
    for what, chinese in _LATENCIES.items():
        _all_or_none(row, above, tuple([field.name for field in _latency(what, chinese)]))
        if f"{what}_mean" in row:
            _ordered(row, above, what)


def _all_or_none(row: Row, above: str, names: tuple[str, ...]) -> None:
    missing = [name for name in names if name not in row]
    if missing and len(missing) < len(names):
        raise Fault(Code.MISSING, above + missing[0], f"give all of {', '.join(names)}, or none")


def _ordered(row: Row, above: str, what: str) -> None:
    least, mean, most = [Decimal(str(row[f"{what}_{which}"])) for which in ("min", "mean", "max")]
    if not least <= mean <= most:
        raise Fault(Code.INCONSISTENT, f"{above}{what}_mean", "it lies between min and max")


def _event_fits(row: Row, above: str) -> None:
    answers = "answers" in row
    if answers != (row["type"] == "recovered"):
        raise Fault(
            Code.INCONSISTENT, f"{above}answers", "give it with type recovered, and only then"
        )
    if answers and row["answers"] == row["event"]:
        raise Fault(Code.INCONSISTENT, f"{above}answers", "an event does not answer itself")


def _performance(number: str, name: str, chinese: str, prefix: str) -> Table:
    return Table(
        number=number,
        name=name,
        chinese=chinese,
        cadence=Cadence.DAILY,
        key=("prefix", "day"),
        fields=(
            Field("prefix", prefix, Text(64)),
            Field("day", "监测日期", Day()),
            *_latency("resolution", "解析"),
            Field("resolution_peak", "解析峰值（次/秒）", Number(), required=False),
            Field("resolution_peak_at", "解析峰值时间", Moment(), required=False),
            *_latency("registration", "注册"),
        ),
        check_together=_figures_fit,
    )


NODE_PERFORMANCE = _performance("M1", "node_performance", "二级节点监测数据", "二级节点前缀")
ENTERPRISE_PERFORMANCE = _performance(
    "M2", "enterprise_performance", "企业节点监测数据", "企业前缀"
)
STATE_EVENT = Table(
    number="E",
    name="state_event",
    chinese="异常与恢复事件",
    cadence=Cadence.REAL_TIME,
    key=("event",),
    fields=(
        Field("event", "事件编号", Text(64, "[0-9A-Za-z._-]+")),
        Field("prefix", "节点前缀（二级节点或企业节点）", Text(64)),
        Field("type", "事件类型：异常、恢复", Choice(("abnormal", "recovered"))),
        Field("answers", "对应的异常事件编号", Text(64, "[0-9A-Za-z._-]+"), required=False),
        Field("at", "事件时间", Moment()),
        Field("cause", "事件原因", Text(1024), required=False),
        Field("cause_class", "原因分类：1 网络，2 系统，3 攻击，4 其他", Choice((1, 2, 3, 4))),
    ),
    check_together=_event_fits,
)
