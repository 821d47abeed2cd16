"""The log shippers of a run: the agent with some settings, and the peers that the command line names."""

from __future__ import annotations

import shutil
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from agent.settings import Settings
from benchmarks.known_peers import KNOWN_PEERS, MissingPeer, command_of, named, version_of
from benchmarks.processes import Sink, Subject, agent, peer

PODS_FILE = "pods.json"
"""File below the working directory with the pods of the node, for the agent's `enrich.file`."""


@dataclass(frozen=True, slots=True)
class Shipper:
    """One log shipper in one configuration."""

    name: str
    start: Callable[[Path, Sink], AbstractContextManager[Subject]]
    """Starts it in a working directory. It goes on from the state of its last run there."""
    state: str
    """Its state directory below the working directory."""
    tls: bool = True
    """Whether it can be told to trust the sink's certificate."""
    tails: bool = True
    """Whether it follows a file that grows."""
    version: str = ""

    def forget(self, place: Path) -> None:
        """The next start is its first one."""
        shutil.rmtree(place / self.state, ignore_errors=True)


def ours(name: str = "falcowatch", **settings: str) -> Shipper:
    """The agent. Keyword `seal__enabled` sets FALCOWATCH_SEAL__ENABLED."""

    @contextmanager
    def start(place: Path, target: Sink) -> Iterator[Subject]:
        with agent(place, target, enrich__file=str(place / PODS_FILE), **settings) as subject:
            yield subject

    return Shipper(name, start, "state")


def defaults_of_the_agent() -> str:
    """The default settings that change the cost of an alert, for the reader of a stored result."""
    settings = Settings(node_name="node")
    seals = "seals" if settings.seal.enabled else "no seals"
    return f"compression {settings.cloudwatch.compression}, {seals}"


def add_peer_options(parser: ArgumentParser) -> None:
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND", help="another log shipper")
    names = ", ".join(known.name for known in KNOWN_PEERS)
    parser.add_argument(
        "--with", dest="known", action="append", default=[], metavar="NAME",
        help=f"a log shipper that benchmarks.install_peers knows: {names}, or all of these that are installed",
    )  # fmt: skip


def chosen_peers(chosen: Namespace, parser: ArgumentParser) -> list[Shipper]:
    """The peers of the command line. Ends the program when one is not there; `all` takes those that are there."""
    peers = []
    names = chosen.known
    for name in [known.name for known in KNOWN_PEERS] if names == ["all"] else names:
        try:
            known = named(name)
            peers.append(
                replace(_peer(name, command_of(known)), tls=known.tls, tails=known.tails, version=version_of(known))
            )
        except MissingPeer as error:
            if names != ["all"]:
                parser.error(str(error))
    for name, _, command in (each.partition("=") for each in chosen.peer):
        peers.append(_peer(name, command))
    return peers


def absent_peers(measured: list[Shipper]) -> str:
    names = {shipper.name for shipper in measured}
    return ", ".join(known.name for known in KNOWN_PEERS if known.name not in names) or "none"


def _peer(name: str, command: str) -> Shipper:
    return Shipper(name, lambda place, target: peer(name, command, place, target), f"state-{name}")
