"""Let the judges speak, each against a node of its own: `make judges`.

Exits with 1 when one of them is not content.  The Handle clients run in an environment of their own (.judges), which
holds nothing of ours.
"""

import sys

from tests.support.judge_openapi import judge_document
from tests.support.judged import judge, judged_node


def main() -> int:
    """Return the exit code of the judges; the last line is that of the Handle clients."""
    with judged_node() as url:
        failed = judge_document(url)
    with judged_node() as url:
        verdict = judge("--url", url)
    return verdict.returncode or failed


if __name__ == "__main__":
    sys.exit(main())
