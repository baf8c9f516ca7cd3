"""A node with the judges' records, for as long as they speak."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tests.support.nodes import ROOT, eventually, node_in

JUDGES_PYTHON = ROOT / ".judges" / "bin" / "python"
JUDGE = ROOT / "tests" / "support" / "judge_handle_clients.py"
PREFIX = "21.T14999"  # the one that the judges' own records name as their administrator's
ADMIN, PASSWORD = f"300:{PREFIX}/ADMIN", "password"
SEEN_SECONDS = 5.0  # a change is seen within one
TIMEOUT_SECONDS = 300.0


class Judged(NamedTuple):
    """The URLs of a node's listeners."""

    public: str
    admin: str


@contextmanager
def judged_node() -> Iterator[Judged]:
    """Start a node, load the judges' records into it, lend it, and stop it."""
    with TemporaryDirectory(prefix="idnode-judges-") as directory:
        # Embedded servers run under another account when we are root: let it pass through.
        Path(directory).chmod(0o711)
        with node_in(Path(directory) / "data", IDNODE_SERVER_ADMINS=ADMIN) as lent:
            settings = lent.start()
            records = Path(directory) / "records.ndjson"
            records.write_bytes(judge("--print-records", stdout=subprocess.PIPE).stdout)
            loaded = lent.run("load", str(records))
            sys.stdout.write(loaded.stdout + loaded.stderr)
            ask = ("resolve", f"{PREFIX}/READTEST", "--over", "http", "--auth")
            eventually(lambda: lent.run(*ask).returncode == 0, SEEN_SECONDS)
            public, admin = settings.http_listen[0], settings.admin_listen[0]
            yield Judged(f"http://{public}", f"http://{admin}")
            lent.stop()


def judge(*words: str, stdout: int | None = None) -> "subprocess.CompletedProcess[bytes]":
    """Run the judge of the Handle clients; its output goes where ours goes unless it is wanted."""
    sys.stdout.flush()
    command = (str(JUDGES_PYTHON), str(JUDGE), "--prefix", PREFIX, "--password", PASSWORD, *words)
    return subprocess.run(command, stdout=stdout, timeout=TIMEOUT_SECONDS, check=False)
