"""The command `falcowatch fleet`: reads the heartbeats of two windows, judges them, shows the table.

Exit codes: 0 nothing needs a person; 1 something does, or the heartbeats cannot be read; 2 wrong arguments.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence
from typing import Final

import orjson
from rich.console import Console
from rich.live import Live

from agent.audit.arguments import duration_ms
from agent.audit.filtered import read_groups
from agent.cloudwatch.client import LogsClient, open_cloudwatch
from agent.fleet.heartbeats import HEARTBEAT_RULE, Heartbeat, heartbeat_of
from agent.fleet.judgement import Fleet, judged
from agent.fleet.table import as_json, table
from agent.settings import Settings, load_settings

PATTERN: Final = f'{{ $.rule = "{HEARTBEAT_RULE}" }}'
"""CloudWatch returns events that match it alone, so a fleet costs the reading of its heartbeats."""

WATCH_SECONDS: Final = 15.0

AHEAD_MS: Final = 60_000
"""The clock of a node may be ahead of this one."""


def run(arguments: argparse.Namespace) -> int:
    settings = load_settings(os.environ, arguments.config).settings
    try:
        fleet = asyncio.run(_show(arguments, settings))
    except KeyboardInterrupt:
        return 0
    return 1 if fleet.needs_a_person else 0


async def _show(arguments: argparse.Namespace, settings: Settings) -> Fleet:
    out = Console(highlight=False, soft_wrap=not sys.stdout.isatty(), width=None if sys.stdout.isatty() else 200)
    async with open_cloudwatch(settings.cloudwatch) as client:
        fleet, now_ms = await look(client, arguments.group, arguments.since, arguments.expected)
        if arguments.json:
            sys.stdout.write(orjson.dumps(as_json(fleet, now_ms=now_ms), option=orjson.OPT_INDENT_2).decode() + "\n")
            return fleet
        if not arguments.watch:
            out.print(table(fleet, now_ms=now_ms, window=arguments.since))
            return fleet
        with Live(table(fleet, now_ms=now_ms, window=arguments.since), console=out, auto_refresh=False) as live:
            while True:
                await asyncio.sleep(WATCH_SECONDS)
                fleet, now_ms = await look(client, arguments.group, arguments.since, arguments.expected)
                live.update(table(fleet, now_ms=now_ms, window=arguments.since), refresh=True)


async def look(client: LogsClient, groups: Sequence[str], since: str, expected: int | None) -> tuple[Fleet, int]:
    """The fleet now, and the time of now. Raises PutError when CloudWatch does not answer."""
    now_ms = int(time.time() * 1000)
    window_ms = duration_ms(since)
    heartbeats: list[Heartbeat] = []
    async for events in read_groups(client, groups, max(0, now_ms - 2 * window_ms), now_ms + AHEAD_MS, pattern=PATTERN):
        found = (heartbeat_of(event.message.decode(errors="replace"), event.time_ms) for event in events)
        heartbeats += filter(None, found)
    return judged(heartbeats, from_ms=now_ms - window_ms, now_ms=now_ms, expected=expected), now_ms
