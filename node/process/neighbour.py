"""Neighbour: the simulated top-level node that `idnode serve --toplevel` runs beside the node, and speaks with."""

from dataclasses import replace
from pathlib import Path

import orjson

from node.address import read_endpoints
from node.config import Settings
from node.ledger.durable import PRIVATE_FILE, write_durably
from node.ledger.logfiles import KEYS
from node.ledger.role import DIRECTORY as LEDGER
from node.ledger.signing import PUBLIC
from node.process.child import LIFELINE, READY, Child, Program, environment_of
from node.process.toplevel import RUNNING_FILE

DIRECTORY = "toplevel"
WITNESSES_FILE = "witnesses.policy"
GRACE_SECONDS = 10.0


def toplevel_of(settings: Settings, children_lock: int) -> Child:
    """Return the simulator's process; its files are below the data directory of the node."""
    channel, page, native = settings.toplevel_listen
    arguments = {
        "--data-dir": settings.data_dir / DIRECTORY,
        "--node-prefix": settings.node_prefix,
        "--log-file": settings.data_dir / LEDGER / KEYS / PUBLIC,
        "--listen": channel,
        "--page": page,
        "--native": native,
        "--lifeline": LIFELINE,
        "--ready": READY,
    }
    words = [str(word) for pair in arguments.items() for word in pair]
    return Child(
        Program(
            name="toplevel",
            arguments=(*Program.python("node.process.toplevel"), *words),
            environment=environment_of(settings),
            descriptors=(children_lock,),
            grace_seconds=GRACE_SECONDS,
        )
    )


def settled(settings: Settings) -> Settings:
    """Return the settings with the addresses that the simulator has, now that it is ready: a later one keeps them."""
    told = _told(settings)
    found = [read_endpoints(told[name])[0] for name in ("channel", "page", "native")]
    return replace(settings, toplevel_listen=tuple(found))


def in_step_with_toplevel(settings: Settings) -> Settings:
    """Return the settings of a node that speaks with the simulator, which is ready, and has it for a witness."""
    directory = settings.data_dir / DIRECTORY
    told = _told(settings)
    issue = Path(told["issue"])
    return replace(
        settings,
        sync_url=f"https://{told['channel']}",
        sync_certificate=issue / "node.pem",
        sync_authority=issue / "authority.crt",
        sync_signing_key=issue / "signing.pem",
        sync_peer_keys=issue / "toplevel.pub",
        ledger_witnesses=settings.ledger_witnesses or _witnesses(directory, told),
    )


def page_of_toplevel(settings: Settings) -> str:
    """Return where people look at it."""
    return f"http://{_told(settings)['page']}/"


def _told(settings: Settings) -> dict[str, str]:
    told: dict[str, str] = orjson.loads((settings.data_dir / DIRECTORY / RUNNING_FILE).read_bytes())
    return told


def _witnesses(directory: Path, told: dict[str, str]) -> Path:
    path = directory / WITNESSES_FILE
    text = f"witness toplevel {told['witness']} http://{told['page']}\nquorum toplevel\n"
    write_durably(path, text.encode(), PRIVATE_FILE)
    return path
