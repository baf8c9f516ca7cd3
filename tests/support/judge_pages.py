"""A browser as a judge of the pages: `python -m tests.support.judge_pages`.  A machine without one is a failure."""

import subprocess
import sys

from tests.support.nodes import ROOT


def main() -> int:
    """Return the exit code."""
    words = ("-m", "pytest", "-q", "tests/judges/pages.py")
    return subprocess.run((sys.executable, *words), cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
