"""The log shippers with a configuration in `peers/`: where each comes from, and how it is started.

A program is looked for in this order: the environment variable of the peer, `.tools/peers` (install_peers.py), PATH.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PEERS: Final = Path(__file__).parent.parent / ".tools" / "peers"
CONFIGURATIONS: Final = Path(__file__).parent / "peers"
VERSION_SECONDS: Final = 60.0
"""The longest wait for a program to state its version."""


@dataclass(frozen=True, slots=True)
class KnownPeer:
    """One log shipper in one configuration."""

    name: str
    title: str
    variant: str
    """What its configuration adds to or leaves out of the peer's usual work; empty: nothing."""
    program: str
    command: str
    """The command line: {program} and {here}, the directory of the configurations, are filled in."""
    tls: bool
    """Whether it can be told to trust the sink's certificate. If not, it is measured over plain HTTP."""
    comes_from: str
    """Where `install_peers` gets it. Empty: it must be installed by hand."""
    metadata: str
    """The pod whose metadata it adds to an alert; empty: of none."""
    note: str
    """Which part of the agent's job it does, as a sentence without its end."""
    tails: bool = True
    """Whether it follows a file that grows. If not, its losses are not measured."""
    asks_version: str = "--version"
    """The argument with which the program states its version."""

    @property
    def variable(self) -> str:
        """The environment variable that names the program."""
        return f"PEER_{self.program.upper().replace('-', '_')}"


_SYSLOG_NG: Final = (
    """sh -c 'exec "$0" -F --no-caps -f "$1" -R "$STATE/persist" -p "$STATE/pid" -c "$STATE/control"' """
    "{program} {here}/syslog-ng.conf"
)
"""Its files for a running instance are named on the command line only. STATE is set in the environment of each peer."""

_FALCOS_OWN: Final = "of Falco's own pod"

KNOWN_PEERS: Final = (
    KnownPeer(
        "fluent-bit-kubernetes", "Fluent Bit", "kubernetes filter", "fluent-bit",
        "{program} -c {here}/fluent-bit-kubernetes.conf", True, "", _FALCOS_OWN,
        "fluent-bit-kubernetes adds the metadata of Falco's own pod with its kubernetes filter",
    ),
    KnownPeer(
        "fluent-bit-crash-safe", "Fluent Bit", "buffer on disk", "fluent-bit",
        "{program} -c {here}/fluent-bit-crash-safe.conf", True, "", _FALCOS_OWN,
        "fluent-bit-crash-safe also buffers on disk",
    ),
    KnownPeer(
        "fluent-bit", "Fluent Bit", "no metadata", "fluent-bit",
        "{program} -c {here}/fluent-bit.conf", True, "", "",
        "fluent-bit adds no pod metadata, so its events are smaller",
    ),
    KnownPeer(
        "tenzir", "Tenzir", "", "tenzir",
        "{program} -f {here}/tenzir.tql", False, "PyPI: tenzir", "",
        "tenzir adds no pod metadata, and reads a file that grows again from its beginning: no losses are measured",
        tails=False, asks_version="version | write_json",
    ),
    KnownPeer(
        "syslog-ng", "syslog-ng", "", "syslog-ng",
        _SYSLOG_NG, False, "Debian: syslog-ng-core, syslog-ng-mod-http", "",
        "syslog-ng adds no pod metadata and does not sign its requests, so CloudWatch would refuse them; in the outage "
        "version 3.38.1 ends with a failed assertion (log_pipe_queue) and is started again",
    ),
)  # fmt: skip


class MissingPeer(Exception):
    """A peer is unknown or its program is not installed. The message says how to get it."""


def named(name: str) -> KnownPeer:
    for known in KNOWN_PEERS:
        if known.name == name:
            return known
    names = ", ".join(known.name for known in KNOWN_PEERS)
    raise MissingPeer(
        f"{name}: has no configuration in benchmarks/peers, which has {names}. To measure another log shipper, "
        f"install it and pass PEER='--peer {name}=COMMAND'; its configuration finds the variables LOGS, STATE, HOST "
        "and PORT in its environment"
    )


def command_of(known: KnownPeer, environment: Mapping[str, str] = os.environ) -> str:
    """The command line of an installed peer. Raises MissingPeer."""
    return known.command.format(program=program_of(known, environment), here=CONFIGURATIONS)


def version_of(known: KnownPeer, environment: Mapping[str, str] = os.environ) -> str:
    """The version that the program states, or nothing. Raises MissingPeer."""
    command = [program_of(known, environment), known.asks_version]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=VERSION_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(r"\d+\.\d+(\.\d+)?", said.stdout)
    return found[0] if found else ""


def program_of(known: KnownPeer, environment: Mapping[str, str] = os.environ) -> str:
    """The path of an installed peer. Raises MissingPeer."""
    program = environment.get(known.variable) or _installed(known) or shutil.which(known.program)
    if program is not None:
        return program
    remedy = (
        f"run `python -m benchmarks.install_peers {known.name}`"
        if known.comes_from
        else "neither PyPI nor Debian has it: build or install it yourself"
    )
    raise MissingPeer(
        f"{known.name}: {known.program} is not installed; {remedy}, or set {known.variable}=/path/to/{known.program}"
    )


def _installed(known: KnownPeer) -> str | None:
    path = PEERS / known.program / "run"
    return str(path) if path.exists() else None
