"""Corpus: made-up records of made-up enterprises, for the sample set and for the load tests.

    python -m loadtest.corpus --records 20000 --seed 1 --out sample.ndjson

Everything follows from (seed, number), so a load test names the record with a given number without
making the others, two runs are alike to the byte, and a larger corpus begins with the smaller one.
The prefix records come first, then `SHOWCASE`, then the rest.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from math import exp, gcd, log
from pathlib import Path
from random import Random
from typing import BinaryIO

import orjson

Record = dict[str, object]
Value = dict[str, object]

SHOWCASE = "88.118.8/JXDY2106023"
RESTRICTED_EVERY = 200  # one record in so many has values that the public may not read
WRITE_LINES = 2_000

_ADMIN_PERMISSIONS = "011111110011"
_U64 = 0xFFFF_FFFF_FFFF_FFFF
_GOLDEN = 0x9E37_79B9_7F4A_7C15
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

_CITIES = ("潍坊", "寿光", "诸城", "青州", "高密", "昌邑", "安丘", "临朐")
_SHIFTS = ("早班", "中班", "夜班")
_GRADES = ("优等品", "一等品", "合格品")


@dataclass(frozen=True, slots=True)
class Enterprise:
    """Who registers: its prefix, its name, what it makes, and how its identifiers are spelled.

    `share` is its part of the records in 64ths; `spell` makes the identifier of a record from its
    number and 64 random bits.
    """

    prefix: str
    name: str
    site: str
    products: tuple[str, ...]
    share: int
    spell: Callable[[int, int], str]


def _gtin14(company: str, item: int) -> str:
    body = f"0{company}{item % 10 ** (12 - len(company)):0{12 - len(company)}d}"
    total = sum(int(digit) * (3, 1)[place % 2] for place, digit in enumerate(body))
    return f"{body}{-total % 10}"


def _base58(bits: int, length: int) -> str:
    found = []
    for _ in range(length):
        bits, digit = divmod(bits, 58)
        found.append(_BASE58[digit])
    return "".join(found)


_GTINS = tuple(_gtin14("6901234", item) for item in range(1, 65))

ENTERPRISES = (
    Enterprise(
        "88.118.8", "潍坊示例动力装备有限公司", "power.example.cn",
        ("柴油机", "曲轴", "缸体", "涡轮增压器", "高压油泵"), 20,
        lambda number, bits: f"88.118.8/JXDY21{number:08d}",
    ),
    Enterprise(
        "88.118.9", "潍坊示例纺织科技有限公司", "textile.example.cn",
        ("精梳棉纱", "阻燃面料", "牛仔布", "家纺套件"), 10,
        lambda number, bits: f"88.118.9/FZ.{bits % 97:02d}.{number:08d}",
    ),
    Enterprise(
        "86.100.1234", "山东示例化工股份有限公司", "chem.example.cn",
        ("纯碱", "氯化钙", "溴素", "离子膜烧碱"), 10,
        lambda number, bits: f"86.100.1234/HG-{number:x}",
    ),
    Enterprise(
        "88.608.8889", "寿光示例智慧农业有限公司", "farm.example.cn",
        ("番茄", "彩椒", "黄瓜", "种苗"), 8,
        lambda number, bits: f"88.608.8889/棚{bits % 480 + 1}.批{number}",
    ),
    Enterprise(
        "10.59321", "示例工业互联网学报", "journal.example.cn",
        ("论文", "数据附件"), 4,
        lambda number, bits: f"10.59321/qlii.{2019 + bits % 8}.{number}",
    ),
    Enterprise(
        "20.500.12345", "示例标识应用研究中心", "dataset.example.cn",
        ("数据集", "测试报告"), 4,
        lambda number, bits: f"20.500.12345/ds-{number}",
    ),
    Enterprise(
        "ecode:11234", "潍坊示例医药包装有限公司", "pack.example.cn",
        ("药用玻璃瓶", "铝塑盖"), 3,
        lambda number, bits: f"ecode:11234{bits % 1000:03d}{number:012d}",
    ),
    Enterprise(
        "oid:1.2.156.1000", "山东示例传感器检测中心", "sensor.example.cn",
        ("压力传感器", "温度变送器"), 2,
        lambda number, bits: f"oid:1.2.156.1000.{bits % 40 + 1}.{number}",
    ),
    Enterprise(
        "gs1:6901234", "潍坊示例文创食品有限公司", "food.example.cn",
        ("潍县萝卜脆", "朝天锅料包", "和乐面"), 2,
        lambda number, bits: f"gs1:01/{_GTINS[bits % 64]}/21/{number}",
    ),
    Enterprise(
        "did:bid:by01", "星火示范应用企业节点", "chain.example.cn",
        ("电子合同", "碳足迹凭证"), 1,
        lambda number, bits: f"did:bid:by01:ef{_base58(bits * _GOLDEN + number, 24)}",
    ),
)  # fmt: skip

DELEGATED_PREFIX = "88.118.77"

_TURN = tuple(each for each in ENTERPRISES for _ in range(each.share))
assert len(_TURN) == 64  # noqa: S101 - the shares are 64ths


def handles(count: int, seed: int = 1) -> Iterator[str]:
    """Return the identifiers of the object records of a corpus of `count` lines, in order."""
    return (handle_at(number, seed) for number in range(object_count(count)))


def object_count(count: int) -> int:
    """Return how many of `count` lines are object records: all but the prefix records."""
    return max(0, count - len(ENTERPRISES) - 1)


def handle_at(number: int, seed: int = 1) -> str:
    """Return the identifier of the object record with this number, counted from 0."""
    if number == 0:
        return SHOWCASE
    bits = _random_bits(number, seed)
    return _TURN[bits & 63].spell(number, bits >> 6)


def records(count: int, seed: int = 1) -> Iterator[Record]:
    """Return the `count` lines of a corpus: the prefix records, then the object records."""
    prefix_records = [*(_prefix_record(each) for each in ENTERPRISES), _delegated_record()]
    yield from prefix_records[:count]
    for number in range(object_count(count)):
        yield record_at(number, seed)


def record_at(number: int, seed: int = 1) -> Record:
    """Return the object record with this number, counted from 0."""
    bits = _random_bits(number, seed) & ~63 if number == 0 else _random_bits(number, seed)
    enterprise = _TURN[bits & 63]
    values = _values(enterprise, number, bits >> 6)
    values.append(_admin(f"0.NA/{enterprise.prefix}"))
    return {"handle": handle_at(number, seed), "values": values}


def write(out: BinaryIO, lines: Iterable[Record]) -> None:
    """Write records as NDJSON."""
    waiting: list[bytes] = []
    for line in lines:
        waiting.append(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        if len(waiting) == WRITE_LINES:
            out.writelines(waiting)
            waiting.clear()
    out.writelines(waiting)


class ZipfSampler:
    """Draws record numbers below `count`: the one with rank k about 1/k**exponent as often as rank 1.

    Rejection-inversion (Hörmann and Derflinger 1996): no table, so ten million cost nothing.  Ranks
    are scattered over the numbers, so the popular ones are not neighbours.
    """

    def __init__(self, count: int, seed: int = 1, exponent: float = 0.99) -> None:
        if count < 1 or exponent <= 0:
            raise ValueError("count and exponent must be above 0")
        self._count = count
        self._exponent = exponent
        self._random = Random(seed)
        self._low = self._integral(1.5) - 1.0
        self._high = self._integral(count + 0.5)
        self._cut = 2.0 - self._inverse(self._integral(2.5) - 2.0**-exponent)
        self._stride = next(
            step for step in range(int(count * 0.6180339887) | 1, 2 * count + 2)
            if gcd(step, count) == 1
        )  # fmt: skip

    def rank(self) -> int:
        """Draw a rank, 1 to `count`; 1 is the most popular."""
        while True:
            level = self._high + self._random.random() * (self._low - self._high)
            x = self._inverse(level)
            k = min(max(int(x + 0.5), 1), self._count)
            if k - x <= self._cut or level >= self._integral(k + 0.5) - k**-self._exponent:
                return k

    def number(self) -> int:
        """Draw a record number, 0 to `count` - 1."""
        return (self.rank() - 1) * self._stride % self._count

    def _integral(self, x: float) -> float:
        """The integral of x**-exponent, up to a constant."""
        if self._exponent == 1.0:
            return log(x)
        power = 1.0 - self._exponent
        return (exp(power * log(x)) - 1.0) / power

    def _inverse(self, level: float) -> float:
        if self._exponent == 1.0:
            return exp(level)
        power = 1.0 - self._exponent
        return exp(log(max(1.0 + level * power, 1e-300)) / power)


def _random_bits(number: int, seed: int) -> int:
    """SplitMix64: 64 bits that depend on nothing but the two."""
    x = (seed * 0x2545F491_4F6CDD1D + (number + 1) * _GOLDEN) & _U64
    x = ((x ^ (x >> 30)) * 0xBF58476D_1CE4E5B9) & _U64
    x = ((x ^ (x >> 27)) * 0x94D049BB_133111EB) & _U64
    return x ^ (x >> 31)


def _values(enterprise: Enterprise, number: int, bits: int) -> list[Value]:
    product = enterprise.products[bits % len(enterprise.products)]
    found: list[Value] = [
        {"index": 1, "type": "URL", "data": f"https://{enterprise.site}/t/{number}"},
        {"index": 2, "type": "产品名称", "data": product},
    ]
    if bits & 0x100:
        batch = f"{2021 + bits % 6}{bits % 12 + 1:02d}-{bits >> 20 & 0xFFF:04d}"
        found.append({"index": 3, "type": "批次号", "data": batch})
    if bits & 0x600:
        found.append({"index": 2000, "type": "生产企业", "data": enterprise.name})
        found.append({"index": 2001, "type": "产地", "data": _CITIES[bits >> 12 & 7]})
    if bits & 0x1800 == 0x1800:
        grade = f"{_GRADES[bits >> 14 & 1]}/{_SHIFTS[bits >> 15 & 1]}"
        found.append({"index": 2002, "type": "检验结果", "data": grade, "ttl": 3600})
    if number % RESTRICTED_EVERY == 3:
        found.append(_restricted(7, "EMAIL", f"qa{number}@{enterprise.site}"))
        found.append(_restricted(8, "出厂价", f"{bits % 90_000 + 1_000} 元"))
    return found


def _restricted(index: int, kind: str, data: str) -> Value:
    return {"index": index, "type": kind, "data": data, "permissions": "1100"}


@cache
def _admin(handle: str) -> Value:
    administrator = {"handle": handle, "index": 200, "permissions": _ADMIN_PERMISSIONS}
    return {
        "index": 100,
        "type": "HS_ADMIN",
        "data": {"format": "admin", "value": administrator},
    }


def _prefix_record(enterprise: Enterprise) -> Record:
    handle = f"0.NA/{enterprise.prefix}"
    administrators = [{"handle": handle, "index": 300}]
    return {
        "handle": handle,
        "values": [
            {"index": 2, "type": "企业名称", "data": enterprise.name},
            {"index": 3, "type": "URL", "data": f"https://{enterprise.site}/"},
            _admin(handle),
            {
                "index": 200,
                "type": "HS_VLIST",
                "data": {"format": "vlist", "value": administrators},
            },
        ],
    }


def _delegated_record() -> Record:
    handle = f"0.NA/{DELEGATED_PREFIX}"
    interfaces = [
        {"query": True, "admin": False, "protocol": "UDP", "port": 2641},
        {"query": True, "admin": True, "protocol": "TCP", "port": 2641},
        {"query": True, "admin": True, "protocol": "HTTP", "port": 8000},
    ]
    site = {
        "version": 1,
        "protocolVersion": "2.11",
        "serialNumber": 1,
        "primarySite": True,
        "multiPrimary": False,
        "attributes": [{"name": "desc", "value": "潍坊示例企业节点"}],
        "servers": [{"serverId": 1, "address": "203.0.113.77", "interfaces": interfaces}],
    }
    return {
        "handle": handle,
        "delegated": True,
        "values": [
            {"index": 1, "type": "HS_SITE", "data": {"format": "site", "value": site}},
            _admin(handle),
        ],
    }


def main(arguments: list[str] | None = None) -> None:
    """Write a corpus to a file."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.corpus", description=main.__doc__)
    parser.add_argument(
        "--records", type=int, default=20_000, help="lines, prefix records included"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", default="-", help="NDJSON file; - for standard output")
    options = parser.parse_args(arguments)
    lines = records(options.records, options.seed)
    if options.out == "-":
        write(sys.stdout.buffer, lines)
    else:
        with Path(options.out).open("wb") as out:
            write(out, lines)


if __name__ == "__main__":
    main()
