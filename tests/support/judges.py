"""Start a node, load the judges' records into it, let the judges speak, and stop it: `make judges`.

Exits with the judges' own code.  The judges run in an environment of their own (.judges), which holds nothing of ours.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.nodes import ROOT, eventually, node_in

JUDGES_PYTHON = ROOT / ".judges" / "bin" / "python"
JUDGE = ROOT / "tests" / "support" / "judge_handle_clients.py"
PREFIX = "21.T14999"  # the one that the judges' own records name as their administrator's
SEEN_SECONDS = 5.0  # a change is seen within one
TIMEOUT_SECONDS = 300.0


def main() -> int:
    """Return the exit code of the judges."""
    with TemporaryDirectory(prefix="idnode-judges-") as directory:
        # Embedded servers run under another account when we are root: let it pass through.
        Path(directory).chmod(0o711)
        settings = {"IDNODE_SERVER_ADMINS": f"300:{PREFIX}/ADMIN"}
        with node_in(Path(directory) / "data", **settings) as lent:
            url = f"http://{lent.start().http_listen[0]}"
            records = Path(directory) / "records.ndjson"
            records.write_bytes(judge("--print-records", stdout=subprocess.PIPE).stdout)
            loaded = lent.run("load", str(records))
            sys.stdout.write(loaded.stdout + loaded.stderr)
            ask = ("resolve", f"{PREFIX}/READTEST", "--over", "http", "--auth")
            eventually(lambda: lent.run(*ask).returncode == 0, SEEN_SECONDS)
            verdict = judge("--url", url)
            lent.stop()
    return verdict.returncode or loaded.returncode


def judge(*words: str, stdout: int | None = None) -> "subprocess.CompletedProcess[bytes]":
    """Run the judge with these words; its output goes where ours goes unless it is wanted."""
    sys.stdout.flush()
    command = (str(JUDGES_PYTHON), str(JUDGE), "--prefix", PREFIX, *words)
    return subprocess.run(command, stdout=stdout, timeout=TIMEOUT_SECONDS, check=False)


if __name__ == "__main__":
    sys.exit(main())
