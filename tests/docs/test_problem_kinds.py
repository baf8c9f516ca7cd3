"""Every kind of problem that the node tells is in the list that the OpenAPI document begins with."""

import re
from http import HTTPStatus

from node.web.operations import ABOUT
from tests.support.nodes import ROOT

TOLD = re.compile(r'Problem\(\s*[0-9]+,\s*"([a-z_]+)"')


def test_every_kind_of_problem_is_listed() -> None:
    sources = [path.read_text("utf-8") for path in (ROOT / "node" / "web").glob("*.py")]
    told = {kind for source in sources for kind in TOLD.findall(source)}
    assert "no_such_file" in told
    statuses = {status.name.lower() for status in HTTPStatus}
    assert {kind for kind in told - statuses if f"`{kind}`" not in ABOUT} == set()
