"""`idnode serve`: run the node, and say how to talk to it."""

import argparse
import os
import shutil
import sys
import textwrap
from pathlib import Path

from node import config, log
from node.address import Endpoint, loopback_if_any
from node.config import Settings
from node.errors import Kind, RegistryError
from node.process.neighbour import page_of_toplevel
from node.process.supervisor import Plan, supervise
from node.reading import SELF_SIGNED
from node.tls import files_of, is_on

EXAMPLE = "88.118.8/JXDY2106023"  # an identifier of the sample


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the verb takes; the settings are listed behind them."""
    parser.add_argument(
        "--sample",
        type=Path,
        metavar="FILE",
        help="load this file of records, once for each database",
    )
    parser.add_argument(
        "--with-parent",
        action="store_true",
        help="stop when the process that started this one ends",
    )
    parser.add_argument(
        "--toplevel",
        action="store_true",
        help="run a simulated top-level node beside it, and be in step with that; not when IDNODE_SYNC_URL names one",
    )
    parser.epilog = _settings_help()


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal.  Raises RegistryError when the node cannot start."""
    sample: Path | None = arguments.sample
    if sample and not sample.is_file():
        raise RegistryError(Kind.NOT_FOUND, f"There is no sample file {sample}.")
    log.configure("supervisor")
    supervise(
        Plan(
            settings=config.load(),
            announce=_print_banner,
            sample=sample,
            with_parent=arguments.with_parent,
            with_toplevel=arguments.toplevel,
        )
    )
    return 0


def _print_banner(settings: Settings, seconds: float) -> None:
    http, native = settings.http_listen[0], settings.native_listen[0]
    scheme = "https" if is_on(settings) else "http"
    embedded = ", embedded" if not config.load().database_url else ""
    top = (
        [f"  top level {page_of_toplevel(settings)}  simulated"] if _has_simulated(settings) else []
    )
    lines = (
        f"idnode is ready ({seconds:.1f} s).",
        "",
        f"  {scheme.upper():<9} {_urls(scheme, settings.http_listen)}  ({settings.workers} workers)",
        f"  Handle    {_list(settings.native_listen)}  UDP and TCP",
        f"  admin     {_urls('http', settings.admin_listen, '/metrics')}  /readyz",
        *top,
        f"  data      {settings.data_dir}{embedded}",
        "",
        "Try it from another terminal:",
        "",
        f"  curl {_trust(settings)}{scheme}://{_reachable(http)}/api/handles/{EXAMPLE}",
        f"  {_ourselves()} resolve {EXAMPLE} --over udp --server {_reachable(native)}",
        "",
        "Ctrl-C stops it.",
    )
    print("\n".join(lines), flush=True)


def _has_simulated(settings: Settings) -> bool:
    return bool(settings.sync_url) and not config.load().sync_url


def _list(endpoints: tuple[Endpoint, ...]) -> str:
    return ", ".join(str(each) for each in endpoints)


def _urls(scheme: str, endpoints: tuple[Endpoint, ...], path: str = "/") -> str:
    return ", ".join(f"{scheme}://{each}{path}" for each in endpoints)


def _trust(settings: Settings) -> str:
    """Return the option with which curl believes a certificate that we made ourselves."""
    if settings.tls_certificate != SELF_SIGNED:
        return ""
    return f"--cacert {files_of(settings)[0]} "


def _reachable(endpoint: Endpoint) -> Endpoint:
    return Endpoint(loopback_if_any(endpoint.host), endpoint.port)


def _ourselves() -> str:
    """Return how to call this command from the directory we stand in."""
    program = Path(sys.executable).parent / "idnode"
    found = shutil.which("idnode")
    if found and Path(found).resolve() == program.resolve():
        return "idnode"
    if not program.exists():
        return f"{sys.executable} -m node"
    beneath = program.is_relative_to(Path.cwd())
    return os.path.relpath(program) if beneath else str(program)


def _settings_help() -> str:
    lines = [
        "settings, from the environment or, in lower case without IDNODE_, from the TOML file that",
        f"{config.CONFIG_VARIABLE} names (or {config.DEFAULT_FILE} in the working directory):",
        "",
    ]
    for each in config.describe():
        lines.append(f"  {each.variable} = {each.default or '(empty)'}")
        lines.extend(
            textwrap.wrap(each.sentence, 92, initial_indent=" " * 6, subsequent_indent=" " * 6)
        )
    return "\n".join(lines)
