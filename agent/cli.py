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
from agent.aiohttp_import import import_aiohttp
from agent.audit.arguments import add_arguments as audit_arguments
from agent.core.redact import without_passwords
from agent.errors import FalcowatchError, SettingsError
from agent.fleet.arguments import add_arguments as fleet_arguments

N = TypeVar("N", int, float)

_DEMO_ALERTS = 20_000
_DEMO_RATE = 2_000.0


def main(argv: Sequence[str] | None = None) -> int:
    arguments = command_parser().parse_args(argv)
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
        import_aiohttp()
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

    from agent.check import Probe, as_json, lines, probes, report_of
    from agent.settings import load_settings

    _print_any_character()
    loaded = load_settings(os.environ, arguments.config)

    async def probed() -> list[Probe]:
        return [each async for each in probes(loaded.settings)]

    with Console(stderr=True).status("checking …"):
        report = report_of(loaded, asyncio.run(probed()), strict=arguments.strict)
    if arguments.json:
        sys.stdout.write(as_json(report, every_setting=arguments.all).decode() + "\n")
    else:
        out = Console(highlight=False, soft_wrap=True)
        for line in lines(report, every_setting=arguments.all):
            out.print(line)
    return 0 if report.ready else 1


def _demo(arguments: argparse.Namespace) -> int:
    from agent.local.chaos import ALERTS_A_SECOND, SCRIPT
    from agent.local.demo import DemoOptions, demonstrate

    alerts, seconds, chaos = arguments.alerts, arguments.seconds, arguments.chaos
    if chaos and not (alerts is None and seconds is None):
        raise SettingsError(["demo: --chaos takes as long as its script; leave out --alerts and --seconds"])
    rate = arguments.rate or (ALERTS_A_SECOND if chaos else _DEMO_RATE)
    script = SCRIPT if chaos else None
    asyncio.run(demonstrate(DemoOptions(alerts or _DEMO_ALERTS, rate, seconds, arguments.keep, script)))
    return 0


def _cloudwatch(arguments: argparse.Namespace) -> int:
    from agent.local.emulator import serve

    asyncio.run(serve(arguments.host, arguments.port, arguments.data))
    return 0


def _fleet(arguments: argparse.Namespace) -> int:
    from agent.fleet import command

    return command.run(arguments)


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


def _migrate(arguments: argparse.Namespace) -> int:
    from agent.migrate import migrated

    _print_any_character()
    sys.stdout.write(migrated(arguments.file, os.environ))
    return 0


def _print_any_character() -> None:
    """A file name may not be UTF-8, and a terminal may not know a character."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def command_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="falcowatch", description="Ships Falco's alerts to Amazon CloudWatch Logs.")
    parser.add_argument("--version", action="version", version=f"falcowatch {version('falcowatch')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, does: str, function: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=does, description=f"{does[0].upper()}{does[1:]}.")
        added.set_defaults(command=function)
        return added

    def configured(added: argparse.ArgumentParser) -> argparse.ArgumentParser:
        added.add_argument(
            "--config",
            type=Path,
            metavar="FILE",
            help="YAML configuration file (default: the value of FALCOWATCH_CONFIG, else /etc/falcowatch/config.yaml "
            "if that file exists)",
        )
        return added

    configured(command("run", "runs the agent; SIGTERM drains and stops it", _run))
    check = configured(command("check", "checks everything that the agent needs, and prints the configuration", _check))
    check.add_argument("--strict", action="store_true", help="exit with 1 also when there is a warning")
    check.add_argument("--all", action="store_true", help="print also the settings that have their defaults")
    check.add_argument("--json", action="store_true", help="print one JSON object")
    dead_letters = configured(
        command("dead-letters", "shows or resends the records that CloudWatch rejected", _dead_letters)
    )
    dead_letters.add_argument("action", choices=["list", "replay"], help="list them, or send them again")

    migrate = command("migrate", "turns a configuration of Fluent Bit into one of Falcowatch, with comments", _migrate)
    migrate.add_argument(
        "file",
        metavar="FILE",
        help="fluent-bit.conf, fluent-bit.yaml, a ConfigMap as kubectl prints it, or - for standard input",
    )
    fleet_arguments(configured(command("fleet", "shows the state of every node, from its heartbeats", _fleet)))
    audit_arguments(
        configured(command("audit", "proves from CloudWatch alone that no event is missing, altered or forged", _audit))
    )

    demo = command("demo", "runs the agent on this machine with captured alerts and an embedded CloudWatch", _demo)
    demo.add_argument(
        "--alerts",
        type=_positive(int),
        metavar="N",
        help=f"number of alerts to write (default: {_DEMO_ALERTS})",
    )
    demo.add_argument(
        "--rate",
        type=_positive(float),
        metavar="N",
        help=f"alerts per second (default: {_DEMO_RATE:.0f}, with --chaos 500)",
    )
    demo.add_argument(
        "--seconds", type=_positive(float), metavar="N", help="write alerts for this long instead of --alerts"
    )
    demo.add_argument(
        "--chaos",
        action="store_true",
        help="disturb everything for a minute (kill -9, throttling, an outage, lost answers, rotations, a flood), and "
        "prove the result",
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
