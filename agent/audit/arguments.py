"""The arguments of `falcowatch audit`. It imports nothing heavy, because every command builds the whole parser."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from agent.errors import SettingsError

USUAL_SINCE_MS = 86_400_000

_SINCE = re.compile(r"(\d{1,6})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True, slots=True)
class AuditOptions:
    groups: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    from_ms: int | None = None
    to_ms: int | None = None
    node: str | None = None
    key_file: Path | None = None
    kms_key_id: str | None = None
    """Empty: the key of the configuration."""
    prometheus: str | None = None
    accept_running: bool = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--group", action="append", default=[], metavar="G", help="log group; may be repeated")
    parser.add_argument(
        "--events",
        nargs="+",
        action="extend",
        default=[],
        type=Path,
        metavar="FILE",
        help="read files instead of CloudWatch: output of aws logs filter-log-events, JSON lines, or an export to S3 "
        "(also gzip, also a directory)",
    )
    parser.add_argument(
        "--since", type=duration_ms, metavar="24h", help="how far back: 90m, 24h, 7d (default with --group: 24h)"
    )
    parser.add_argument(
        "--from", dest="start", type=_moment_ms, metavar="T", help="first moment, such as 2026-11-28T00:00Z"
    )
    parser.add_argument("--to", dest="end", type=_moment_ms, metavar="T", help="last moment (default: now)")
    parser.add_argument("--node", metavar="N", help="only this node")
    macs = parser.add_mutually_exclusive_group()
    macs.add_argument("--key-file", type=Path, metavar="F", help="check the seals' codes with this key (seal.key_file)")
    macs.add_argument(
        "--kms",
        nargs="?",
        const="",
        metavar="KEY",
        help="check the seals' codes with this key of AWS KMS (default: seal.kms_key_id of the configuration)",
    )
    parser.add_argument("--prometheus", metavar="URL", help="compare the seals with those that Prometheus has scraped")
    parser.add_argument(
        "--accept-running",
        action="store_true",
        help="for a schedule: exit with 0 instead of 3 if only the beginning and the end of the chosen time are not "
        "proved, because agents are running",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def options_of(arguments: argparse.Namespace, *, now_ms: int) -> AuditOptions:
    """Raises SettingsError, which ends the command with exit code 2."""
    problems = []
    if bool(arguments.group) == bool(arguments.events):
        problems.append("audit: pass either --group (read CloudWatch) or --events (read files)")
    if arguments.since is not None and arguments.start is not None:
        problems.append("audit: pass either --since or --from")
    to_ms = arguments.end
    from_ms = arguments.start
    if arguments.since is not None or (from_ms is None and arguments.group):
        from_ms = (to_ms or now_ms) - (arguments.since or USUAL_SINCE_MS)
    if from_ms is not None and to_ms is not None and from_ms >= to_ms:
        problems.append("audit: --from must be earlier than --to")
    if problems:
        raise SettingsError(problems)
    return AuditOptions(
        groups=tuple(dict.fromkeys(arguments.group)),
        files=tuple(arguments.events),
        from_ms=from_ms if from_ms is None else max(0, from_ms),
        to_ms=to_ms,
        node=arguments.node,
        key_file=arguments.key_file,
        kms_key_id=arguments.kms,
        prometheus=arguments.prometheus,
        accept_running=arguments.accept_running,
    )


def duration_ms(text: str) -> int:
    found = _SINCE.fullmatch(text)
    if found is None or not int(found[1]):
        raise argparse.ArgumentTypeError(f"must be a duration such as 90m, 24h or 7d, got {text!r}")
    return int(found[1]) * _SECONDS[found[2]] * 1000


def _moment_ms(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a time such as 2026-11-28T09:00:00Z, got {text!r}") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)
