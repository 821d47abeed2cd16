"""The arguments of `falcowatch fleet`. It imports nothing heavy, because every command builds the whole parser."""

from __future__ import annotations

import argparse
from typing import Final

from agent.audit.arguments import duration_ms

USUAL_SINCE: Final = "15m"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--group", action="append", required=True, metavar="G", help="log group; may be repeated")
    parser.add_argument(
        "--since",
        default=USUAL_SINCE,
        type=_duration,
        metavar="15m",
        help="length of the window: 15m, 2h, 1d (default: %(default)s)",
    )
    parser.add_argument(
        "--expected",
        type=_count,
        metavar="N",
        help="number of nodes that must have sent a heartbeat (default: as many as in the window before)",
    )
    parser.add_argument("--watch", action="store_true", help="show the table again every 15 s, until you press Ctrl-C")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _duration(text: str) -> str:
    duration_ms(text)
    return text


def _count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 1_000_000:
        raise argparse.ArgumentTypeError(f"must be a number of nodes, got {text!r}")
    return int(text)
