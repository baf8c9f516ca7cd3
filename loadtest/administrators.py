"""Who writes in the load tests: an administrator of the server, one with a valid login and no right, and their keys.

They are loaded as an operator loads them, with `idnode load`; a node must be started with `SETTINGS` to know the first.
"""

import json
import re
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote

from loadtest.sizes import load_corpus
from loadtest.stand import Node, Stand, StandError, clean_environment

HOME = "88.1000.1"
_TOKEN = re.compile(r"idnt_[\w-]+")


@dataclass(frozen=True, slots=True)
class Login:
    """A secret key, and where it is."""

    handle: str
    index: int
    secret: str

    @property
    def name(self) -> str:
        """`index:handle`."""
        return f"{self.index}:{self.handle}"

    @property
    def header(self) -> str:
        """The Authorization header of a request, without a line end."""
        pair = f"{quote(self.name, safe='/')}:{self.secret}"
        return f"Authorization: Basic {b64encode(pair.encode()).decode()}"


ADMIN = Login(f"{HOME}/ADMIN", 300, "the first secret of the load tests")
NOBODY = Login(f"{HOME}/NOBODY", 301, "a secret that opens nothing")
SETTINGS = {"SERVER_ADMINS": ADMIN.name}


def settle(stand: Stand, node: Node, others: Iterable[dict[str, object]] = ()) -> None:
    """Load the prefix, both administrators' keys, and other records; wait until they are answered."""
    lines = [
        {"handle": f"0.NA/{HOME}", "values": [{"index": 1, "type": "DESC", "data": "load tests"}]},
        *(_keyholder(login) for login in (NOBODY, ADMIN)),
        *others,
    ]
    corpus = stand.directory / "administrators.ndjson"
    corpus.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    load_corpus(node, corpus, len(lines), waiting_for=ADMIN.handle.encode())


def make_token(node: Node, owner: Login) -> str:
    """Make an API token for a login, as an operator does.  Raises StandError."""
    data_dir = str(node.settings.data_dir)
    command = [sys.executable, "-m", "node", "token", "make", "--name", "load test"]
    done = subprocess.run(
        [*command, "--owner", owner.name],
        env=clean_environment({"DATA_DIR": data_dir}),
        capture_output=True,
        text=True,
        check=False,
    )
    found = _TOKEN.search(done.stdout)
    if found is None:
        raise StandError(f"no token was made: {done.stdout[-1000:]} {done.stderr[-1000:]}")
    return found[0]


def _keyholder(login: Login) -> dict[str, object]:
    secret = {
        "index": login.index,
        "type": "HS_SECKEY",
        "data": login.secret,
        "permissions": "1100",
    }
    return {
        "handle": login.handle,
        "values": [{"index": 1, "type": "DESC", "data": "holds a key"}, secret],
    }
