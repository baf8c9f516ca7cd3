"""What a browser makes of the pages: drawn whole, in both languages, without a fault.  Part of `make judges`."""

import asyncio
import re
from pathlib import Path

import pytest

from tests.support.browser import look
from tests.support.epp import ENTERPRISE
from tests.support.toplevels import both, lively


@pytest.mark.parametrize(
    ("language", "heading"), [("zh", "收到的数据"), ("en", "What was received")]
)
async def test_browser_draws_all_of_it_without_a_fault(
    tmp_path: Path, language: str, heading: str
) -> None:
    async with both(tmp_path / "top") as talk:
        await lively(talk)
        url = f"http://{talk.found.page}/?lang={language}&table=9"
        seen = await asyncio.to_thread(look, url, tmp_path / "home")
    assert seen.faults == []
    assert heading in seen.document
    assert "&lt;script&gt;alert(1)" in seen.document
    assert re.search(r'data-table="7".*?<td class="number some">1</td>', seen.document)
    assert "not_granted" in seen.document
    assert ENTERPRISE.unit_name in seen.document
    assert re.search(r'<button class="good">(通过|Approve)</button>', seen.document)
    assert talk.found.witness_key in seen.document.replace("&amp;", "&")
