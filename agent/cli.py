"""The command `falcowatch`: reads arguments and settings, runs the command, returns the exit code.

0: success. 1: the environment (network, disk, rights) prevents the command from working; the message names the reason.
2: the configuration or the command line is invalid; the messages name every error in it.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from agent import memory
from agent.audit.arguments import add_arguments as audit_arguments
from agent.core.redact import without_passwords
from agent.errors import FalcowatchError, SettingsError

N = TypeVar("N", int, float)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    try:
        command: Callable[[argparse.Namespace], int] = arguments.command
        return command(arguments)
    except SettingsError as error:
        for problem in error.problems:
            print(f"falcowatch: {without_passwords(problem)}", file=sys.stderr)
        return 2
    except FalcowatchError as error:
        print(f"falcowatch: {without_passwords(str(error))}", file=sys.stderr)
        return 1


def _run(arguments: argparse.Namespace) -> int:
    memory.keep_freed_memory()
    with memory.collector_paused():
        from agent.app import run_agent, stopped_by_signals
        from agent.settings import load_settings
        from agent.telemetry import configure_logging

    settings = load_settings(os.environ, arguments.config).settings
    configure_logging(settings.log.level, settings.log.format)

    async def run() -> None:
        stop = asyncio.Event()
        with stopped_by_signals(stop):
            await run_agent(settings, stop)

    asyncio.run(run())
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from agent.check import probes
    from agent.settings import load_settings
    from agent.settings.explain import printable

    # A file name in a setting or in a message may not be UTF-8.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    loaded = load_settings(os.environ, arguments.config)
    out = Console(highlight=False, soft_wrap=True)
    for dotted, value, source in loaded.rows():
        out.print(f"{dotted:36} {printable(dotted, value):28} {source}", markup=False)

    async def probe() -> bool:
        fine = True
        async for found in probes(loaded.settings):
            outcome = "[green]ok     [/green]" if found.ok else "[red]failed [/red]"
            if not found.ok and not found.required:
                outcome = "[yellow]warning[/yellow]"
            out.print(f"{outcome} {found.name}: ", end="")
            out.print(without_passwords(found.detail), markup=False)
            fine = fine and (found.ok or not (found.required or arguments.strict))
        return fine

    return 0 if asyncio.run(probe()) else 1


def _demo(arguments: argparse.Namespace) -> int:
    from agent.local.demo import DemoOptions, demonstrate

    asyncio.run(demonstrate(DemoOptions(arguments.alerts, arguments.rate, arguments.seconds, arguments.keep)))
    return 0


def _cloudwatch(arguments: argparse.Namespace) -> int:
    from agent.local.emulator import serve

    asyncio.run(serve(arguments.host, arguments.port, arguments.data))
    return 0


def _audit(arguments: argparse.Namespace) -> int:
    from agent.audit import command

    return command.run(arguments)


def _dead_letters(arguments: argparse.Namespace) -> int:
    from agent.deadletters.commands import lines, put_again
    from agent.settings import load_settings

    settings = load_settings(os.environ, arguments.config).settings
    if arguments.action == "list":
        for line in lines(settings.state_dir):
            print(line)
        return 0

    async def replay() -> tuple[int, int]:
        from agent.cloudwatch.client import open_cloudwatch

        async with open_cloudwatch(settings.cloudwatch) as client:
            return await put_again(settings.state_dir, client)

    arrived, kept = asyncio.run(replay())
    print(f"{arrived} dead letters were delivered; {kept} were rejected again and are kept", file=sys.stderr)
    return 0 if not kept else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="falcowatch", description="Ships Falco's alerts to Amazon CloudWatch Logs.")
    parser.add_argument("--version", action="version", version=f"falcowatch {version('falcowatch')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, does: str, function: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=does, description=f"{does[0].upper()}{does[1:]}.")
        added.set_defaults(command=function)
        return added

    def configured(added: argparse.ArgumentParser) -> argparse.ArgumentParser:
        added.add_argument(
            "--config", type=Path, metavar="FILE", help="YAML configuration file (default: FALCOWATCH_CONFIG)"
        )
        return added

    configured(command("run", "runs the agent; SIGTERM drains and stops it", _run))
    check = configured(command("check", "prints the configuration and checks everything that the agent needs", _check))
    check.add_argument("--strict", action="store_true", help="exit with 1 also when there is a warning")
    dead_letters = configured(
        command("dead-letters", "shows or resends the records that CloudWatch rejected", _dead_letters)
    )
    dead_letters.add_argument("action", choices=["list", "replay"], help="list them, or send them again")

    audit_arguments(
        configured(command("audit", "proves from CloudWatch alone that no event is missing, altered or forged", _audit))
    )

    demo = command("demo", "runs the agent on this machine with captured alerts and an embedded CloudWatch", _demo)
    demo.add_argument(
        "--alerts",
        type=_positive(int),
        default=20_000,
        metavar="N",
        help="number of alerts to write (default: %(default)s)",
    )
    demo.add_argument(
        "--rate", type=_positive(float), default=2_000, metavar="N", help="alerts per second (default: %(default)s)"
    )
    demo.add_argument(
        "--seconds", type=_positive(float), metavar="N", help="write alerts for this long instead of --alerts"
    )
    demo.add_argument("--keep", type=Path, metavar="DIR", help="keep log files, state and events in this directory")

    cloudwatch = command("cloudwatch", "runs only the embedded CloudWatch Logs", _cloudwatch)
    cloudwatch.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    cloudwatch.add_argument("--port", type=int, default=4586, help="port to listen on (default: %(default)s)")
    cloudwatch.add_argument(
        "--data", type=Path, metavar="DIR", help="keep events in this directory (default: in memory)"
    )
    return parser


def _positive(kind: Callable[[str], N]) -> Callable[[str], N]:
    def parse(text: str) -> N:
        try:
            value = kind(text)
        except ValueError:
            value = kind("0")
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"must be a number above 0, got {text!r}")
        return value

    return parse


if __name__ == "__main__":
    sys.exit(main())
