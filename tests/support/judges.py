"""Let the judges speak, each against a node of its own: `make judges`.

Exits with 1 when one of them is not content.  The Handle clients run in an environment of their own (.judges), which
holds nothing of ours.
"""

import sys

from tests.support import judge_merkle, judge_pages, judge_witness
from tests.support.judge_go import judge_node, judge_sample
from tests.support.judge_log import judge_log, own_log
from tests.support.judge_openapi import judge_documents
from tests.support.judged import judge, judged_node


def main() -> int:
    """Return the exit code of the judges; the last line is that of the Handle clients."""
    failed = judge_merkle.main()
    failed |= judge_pages.main()
    with own_log() as log:
        failed |= judge_log(log)
    failed |= judge_witness.main()
    failed |= judge_sample()
    failed |= judge_node()
    with judged_node() as lent:
        failed |= judge_documents(lent)
    with judged_node() as lent:
        verdict = judge("--url", lent.public)
    return verdict.returncode or failed


if __name__ == "__main__":
    sys.exit(main())
