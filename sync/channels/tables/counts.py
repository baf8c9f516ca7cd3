"""表3 and 表8: what was registered and resolved in a day, and for whom.

Registrations mean different things in the two: 表3 counts enterprise prefixes, 表8 counts identifiers; so the fields
have different names here.  A day begins and ends in Asia/Shanghai.  The list of sources may be longer than a row may
be: it is then sent in parts, each with the same totals (our proposal).
"""

from collections.abc import Mapping, Sequence
from typing import cast

from sync.channels.cadence import Cadence
from sync.channels.tables.kind import (
    Address,
    Code,
    Day,
    Fault,
    Field,
    Many,
    Number,
    Part,
    Row,
    Text,
)
from sync.channels.tables.table import Table

MAX_SOURCES = 5_000  # in one part
MAX_PARTS = 10_000


def _counts_fit(row: Row, above: str) -> None:
    requests = cast("int", row["requests"])
    if cast("int", row["successes"]) > requests:
        raise Fault(Code.INCONSISTENT, f"{above}successes", "there are more than requests")
    if cast("int", row["part"]) > cast("int", row["parts"]):
        raise Fault(Code.INCONSISTENT, f"{above}part", "there are not so many parts")
    _sources_fit(cast("Sequence[Mapping[str, object]]", row.get("sources", ())), requests, above)


def _sources_fit(sources: Sequence[Mapping[str, object]], requests: int, above: str) -> None:
    if len({source["ip"] for source in sources}) < len(sources):
        raise Fault(Code.INCONSISTENT, f"{above}sources", "give each address once")
    if sum([cast("int", source["resolutions"]) for source in sources]) > requests:
        raise Fault(Code.INCONSISTENT, f"{above}sources", "they add up to more than requests")


SOURCE = Part(
    "source",
    (
        Field("ip", "来源 IP", Address()),
        Field("resolutions", "该 IP 解析量", Number(1)),
    ),
)
_RESOLUTIONS = (
    Field("requests", "当日解析请求量", Number()),
    Field("successes", "当日成功响应量", Number()),
    Field("part", "来源清单分段序号", Number(1, MAX_PARTS)),
    Field("parts", "来源清单分段数", Number(1, MAX_PARTS)),
    Field("sources", "来源 IP 清单", Many(SOURCE, MAX_SOURCES), required=False),
)

NODE_COUNT = Table(
    number="3",
    name="node_count",
    chinese="二级节点统计数据",
    cadence=Cadence.DAILY,
    key=("prefix", "day", "part"),
    fields=(
        Field("prefix", "二级节点前缀", Text(64)),
        Field("day", "统计日期", Day()),
        Field("new_prefixes", "当日标识注册量（新增企业前缀）", Number()),
        Field("prefixes", "累计标识注册量（现有企业前缀）", Number()),
        *_RESOLUTIONS,
    ),
    check_together=_counts_fit,
)
ENTERPRISE_COUNT = Table(
    number="8",
    name="enterprise_count",
    chinese="企业统计数据",
    cadence=Cadence.DAILY,
    key=("prefix", "day", "part"),
    fields=(
        Field("prefix", "企业前缀", Text(64)),
        Field("day", "统计日期", Day()),
        Field("new_identifiers", "当日标识注册量（新增标识）", Number()),
        Field("identifiers", "累计标识注册量（现有标识）", Number()),
        *_RESOLUTIONS,
    ),
    check_together=_counts_fit,
)
