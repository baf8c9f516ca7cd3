"""Examples: complete forms, filled in well, with invented people; for the API's document, the command line and tests.

The credit codes are invented; the numbers of ID cards are the two examples of GB 11643; the addresses are kept for
documentation.  `docs/examples` leads here.
"""

from functools import cache
from importlib.resources import files

import orjson

NAMES = (
    "enterprise",
    "verification",
    "prefix",
    "sites",
    "template",
    "application",
    "operator",
    "routes",
)


EXAMPLES = files("node.web.examples")


def example_text(name: str) -> str:
    """Return an example as the file has it."""
    return (EXAMPLES / f"{name}.json").read_text("utf-8")


@cache
def example(name: str) -> dict[str, object]:
    """Return an example; it is shared, so change a copy."""
    found: dict[str, object] = orjson.loads(example_text(name))
    return found
