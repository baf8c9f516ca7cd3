"""Ask a node all that its OpenAPI document allows, and much that it does not (schemathesis).  Part of `make judges`.

First as a stranger, with any names; then as an administrator, with names below a prefix that is homed.  No answer may
have a status that the document does not have.  Longer, and with other requests (`make campaign`):

    .venv/bin/python -m tests.support.judge_openapi --seconds 600 --seed 7
"""

import argparse
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.judged import ADMIN, PASSWORD, PREFIX, judged_node
from tests.support.nodes import ROOT

CONFIG = ROOT / "tests" / "judges" / "schemathesis.toml"
CHECKS = "not_a_server_error,status_code_conformance"
NAMES = ("st-1", "st-2", "ST-1", "st 3?", "st/4", "产品")
SECONDS, SEED = 25, 1  # of each of the two, in `make judges`
MAX_EXAMPLES = 1_000_000  # of one operation: the time is what ends it
GRACE_SECONDS = 120


def main() -> int:
    """Start a node, judge it, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=int, default=SECONDS, help="of each of the two runs")
    parser.add_argument("--seed", type=int, default=SEED, help="of the requests")
    options = parser.parse_args()
    with judged_node() as url:
        return judge_document(url, options.seconds, options.seed)


def judge_document(url: str, seconds: int = SECONDS, seed: int = SEED) -> int:
    """Judge the node at this URL by its own document; return 1 when an answer was not as announced."""
    with TemporaryDirectory() as directory:
        homed = Path(directory) / "homed.toml"
        names = ", ".join(f'"{PREFIX}/{name}"' for name in NAMES)
        homed.write_text(f'{CONFIG.read_text("utf-8")}\n[parameters]\n"path.handle" = [{names}]\n')
        user = f"{ADMIN.replace(':', '%3A')}:{PASSWORD}"
        failed = [
            _run(url, seconds, seed, CONFIG, directory),
            _run(url, seconds, seed, homed, directory, "--auth", user),
        ]
    sys.stdout.write(f"schemathesis: {failed.count(False)} passed, {failed.count(True)} failed\n")
    return int(any(failed))


def _run(url: str, seconds: int, seed: int, config: Path, directory: str, *words: str) -> bool:
    """Run schemathesis once; true when it found something."""
    sys.stdout.flush()
    command = (
        *(Path(sys.executable).with_name("schemathesis"), "--config-file", config),
        *("run", f"{url}/openapi.json", "--checks", CHECKS, "--phases", "coverage,fuzzing"),
        *("--seed", str(seed), "--max-time", str(seconds), "--max-examples", str(MAX_EXAMPLES)),
        *words,
    )
    limit = seconds + GRACE_SECONDS
    return subprocess.run(command, cwd=directory, timeout=limit, check=False).returncode != 0


if __name__ == "__main__":
    sys.exit(main())
