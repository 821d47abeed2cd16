"""`falcowatch`: arguments → settings → exit code.

0: done. 1: something outside keeps it from working, said in one sentence. 2: the configuration or the
command line is wrong, every problem at once.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from agent.errors import FalcowatchError, SettingsError


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.command(arguments))
    except SettingsError as error:
        for problem in error.problems:
            print(f"falcowatch: {problem}", file=sys.stderr)
        return 2
    except FalcowatchError as error:
        print(f"falcowatch: {error}", file=sys.stderr)
        return 1


def _run(arguments: argparse.Namespace) -> int:
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="falcowatch", description="Ships Falco's alerts to Amazon CloudWatch Logs.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="the agent")
    run.add_argument("--config", type=Path, metavar="FILE", help="YAML configuration (FALCOWATCH_CONFIG)")
    run.set_defaults(command=_run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
