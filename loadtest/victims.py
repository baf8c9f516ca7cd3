"""Victims: which process of a node is killed with SIGKILL, and what it means that the node is whole again."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from loadtest import cpu
from loadtest.stand import Node, Stand, get

WHOLE_SECONDS = 180.0  # a machine that is busy with other things needs a minute to start a process
POLL_SECONDS = 0.02
PORTS = (
    20_000,
    32_000,
)  # below those that the kernel gives to clients, so a restart finds them free


class Victim(StrEnum):
    """What is killed; of the last two the node is started again as an operator would."""

    POSTGRES = "postgres"
    VALKEY = "valkey"
    WORKER = "worker"
    KEEPER = "keeper"
    SUPERVISOR = "supervisor"  # the others notice, and end
    EVERYTHING = "everything"  # as when the machine loses its power, but for the page cache


RESTARTED = frozenset({Victim.SUPERVISOR, Victim.EVERYTHING})


class NotWhole(Exception):
    """The node did not become whole again in time; the message says what was missing."""


@dataclass(slots=True)
class Running:
    """The node that runs now; `start` starts it again, on the same ports and data."""

    node: Node
    start: Callable[[], Node]


def start_on_fixed_ports(stand: Stand, name: str, settings: dict[str, str]) -> Running:
    """Start a node that can be started again with the same addresses, which no seed decides: two may run at once."""
    http, native, admin = Random().sample(range(*PORTS), 3)
    listen = {"HTTP_LISTEN": http, "NATIVE_LISTEN": native, "ADMIN_LISTEN": admin}
    given = {**settings, **{name: f"127.0.0.1:{port}" for name, port in listen.items()}}

    def start() -> Node:
        return stand.start_node(name, given)

    return Running(start(), start)


def processes(node: Node, victim: Victim) -> list[int]:
    """Return the processes that are killed, of which one is chosen where there are several workers."""
    root = node.process.pid
    tree = {pid: cpu.command(pid) for pid in cpu.tree([root])}
    match victim:
        case Victim.SUPERVISOR:
            return [root]
        case Victim.EVERYTHING:
            return [root, *(pid for pid in tree if pid != root)]
        case Victim.POSTGRES:
            return [pid for pid, text in tree.items() if _is_postmaster(text)]
        case Victim.VALKEY:
            return [pid for pid, text in tree.items() if _program(text).startswith("valkey")]
    return [pid for pid, text in tree.items() if f"node.process.{victim}" in text]


def kill(node: Node, victim: Victim, dice: Random) -> list[int]:
    """Kill, and return the processes that were killed.  Raises NotWhole when there is none."""
    found = processes(node, victim)
    if not found:
        raise NotWhole(f"there is no {victim} to kill")
    chosen = [dice.choice(found)] if victim is Victim.WORKER else found
    for pid in chosen:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return chosen


async def make_whole(running: Running, victim: Victim, killed: list[int]) -> None:
    """Start the node again if its supervisor is gone, and wait until nothing is missing.  Raises NotWhole."""
    if victim in RESTARTED:
        await asyncio.to_thread(running.node.process.wait)
        running.node = await asyncio.to_thread(running.start)
    deadline = time.monotonic() + WHOLE_SECONDS
    while lacks := await asyncio.to_thread(_lacks, running.node, set(killed)):
        if time.monotonic() > deadline:
            raise NotWhole(f"after {victim} was killed, {lacks} for {WHOLE_SECONDS:.0f} s")
        await asyncio.sleep(POLL_SECONDS)


def _lacks(node: Node, killed: set[int]) -> str:
    """Say what is missing for a whole node; nothing when it is."""
    for victim in (Victim.POSTGRES, Victim.VALKEY, Victim.KEEPER):
        if not set(processes(node, victim)) - killed:
            return f"there was no {victim}"
    if len(set(node.workers()) - killed) < node.settings.workers:
        return "a worker was missing"
    for address in (node.admin, node.http):
        try:
            if get(address, "/readyz")[0] != 200:
                return f"{address} was not ready"
        except (OSError, IndexError, ValueError):
            return f"{address} did not answer"
    return ""


def _program(command: str) -> str:
    return command.split(" ", 1)[0].rpartition("/")[2]


def _is_postmaster(command: str) -> bool:
    return _program(command) == "postgres" and " -D " in command
