"""Laws of the sync tables: any JSON gets a verdict; what is accepted is written again as the same bytes."""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from sync.channels.tables import TABLES, Code, Fault, Table
from tests.support.tablerows import table_rows

NUMBERS = st.sampled_from(list(TABLES))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.sampled_from(["88.118", "2026-01-31", "192.0.2.1", "4", "vaa", "recovered", 1, 2])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(NUMBERS, st.binary(max_size=100) | JSON.map(orjson.dumps))
def test_any_bytes_get_a_verdict(number: str, body: bytes) -> None:
    assert TABLES[number].check(body, key="k").code in Code


@given(NUMBERS, st.data())
def test_any_change_of_an_honest_row_gets_a_verdict(number: str, data: st.DataObject) -> None:
    table, row = TABLES[number], table_rows()[number]
    place: Any = row
    while isinstance(place, dict | list):
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or data.draw(st.booleans()):
            place[key] = data.draw(JSON)
            break
        place = place[key]

    check_both_ways(table, row)


def check_both_ways(table: Table, row: dict[str, Any]) -> None:
    """What we would send is what they would accept, and nothing else."""
    raw = orjson.dumps(row, option=orjson.OPT_SORT_KEYS)
    try:
        body = table.encode(row)
    except Fault:
        body = b""
    if not body:
        assert not table.check(raw, key="k").is_accepted
        return
    assert table.check(body, key=table.key_of(row)).is_accepted
    assert table.encode(table.decode(body)) == body
