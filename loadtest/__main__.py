"""`python -m loadtest`: the load tests that are there for others than their authors.

python -m loadtest prove --resolutions 1000000     a proof, with a signed report
python -m loadtest check DIR                       the report and its evidence, checked again
"""

import argparse
import sys
from collections.abc import Sequence

from loadtest.prove import command


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and run; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m loadtest", description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    command.add_prove(verbs.add_parser("prove", help="announce, ask, count four times, report"))
    command.add_check(verbs.add_parser("check", help="check the files of a proof"))
    chosen = parser.parse_args(arguments)
    return command.run_prove(chosen) if chosen.verb == "prove" else command.run_check(chosen)


if __name__ == "__main__":
    sys.exit(main())
