"""The command `falcowatch audit`: the order of its work.

Exit codes: 0 proved; 1 not proved, or the audit could not be done; 2 wrong arguments; 3 proved as far as the data goes.
With `--accept-running`, 3 becomes 0 if only the edges of the chosen time are open.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import orjson
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from agent.audit.arguments import USUAL_SINCE_MS, AuditOptions, options_of
from agent.audit.exported import files_of, read_files
from agent.audit.filtered import read_groups
from agent.audit.history import RawEvent
from agent.audit.key_macs import KeyFileMacs
from agent.audit.kms_macs import KmsMacs
from agent.audit.prometheus import read_heads
from agent.audit.report import AuditResult, as_json, print_report
from agent.audit.store import Store
from agent.audit.verify import NodeResult, audit_node
from agent.cloudwatch.client import open_cloudwatch
from agent.cloudwatch.kms_verify import open_key
from agent.core.proof.read_seal import secret_of
from agent.errors import AuditFailed, SettingsError
from agent.settings import Settings, load_settings

MARGIN_MS = 3_600_000
"""Events are read from an hour before the first seal on: a seal states events that are older than itself."""
LONG_MARGIN_MS = 15 * 86_400_000
"""CloudWatch accepts events that are up to 14 days old. An agent that was behind, or that began to read files with old
alerts, seals such events."""
FUTURE_MS = 7_200_000
"""CloudWatch accepts events that are up to two hours ahead."""


def run(arguments: argparse.Namespace) -> int:
    options = options_of(arguments, now_ms=int(time.time() * 1000))
    needs_aws = bool(options.groups) or options.kms_key_id is not None
    settings = load_settings(os.environ, arguments.config).settings if needs_aws else Settings()
    result = asyncio.run(audit(options, settings, Console(stderr=True)))
    if arguments.json:
        sys.stdout.write(orjson.dumps(as_json(result), option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        # In a file nothing may be folded: a program or a person searches it by line.
        print_report(result, Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 200))
    return result.exit_code


async def audit(options: AuditOptions, settings: Settings, progress_to: Console) -> AuditResult:
    """Reads, checks, and returns the result. Raises AuditFailed, PutError or SettingsError when it cannot."""
    try:
        result = await _audit(options, settings, progress_to, MARGIN_MS)
        if options.from_ms is not None and result.misses_events:
            return await _audit(options, settings, progress_to, LONG_MARGIN_MS)
    except (OSError, sqlite3.Error) as error:
        raise AuditFailed(
            f"{tempfile.gettempdir()}: the events cannot be kept there ({error}); it needs about the size of all "
            "alerts, and TMPDIR chooses another directory"
        ) from error
    return result


async def _audit(options: AuditOptions, settings: Settings, progress_to: Console, margin_ms: int) -> AuditResult:
    now_ms = int(time.time() * 1000)
    secret = _secret(options.key_file)
    async with AsyncExitStack() as exits:
        store = exits.enter_context(Store(options.node, seals_from_ms=options.from_ms or 0))
        total = sum(file.stat().st_size for file in files_of(options.files)) if options.files else None
        with _progress(progress_to, "reading events", total) as advance:
            async for some in _events(options, settings, now_ms, margin_ms, advance):
                store.add(some)
        store.complete()
        until_ms = options.to_ms or (now_ms if options.groups else store.newest_ms)
        heads = None
        if options.prometheus is not None:
            first_ms = options.from_ms or store.oldest_ms or until_ms - USUAL_SINCE_MS
            heads = await read_heads(options.prometheus, first_ms, until_ms)
            store.expect_nodes(node for node in heads.nodes if options.node in (None, node))
        kms = None
        if options.kms_key_id is not None:
            key_id = options.kms_key_id or settings.seal.kms_key_id
            if not key_id:
                raise SettingsError(["audit: --kms needs a key: pass --kms KEY, or set seal.kms_key_id"])
            kms = KmsMacs(await exits.enter_async_context(open_key(settings.cloudwatch, key_id)))
        nodes: list[NodeResult] = []
        with _progress(progress_to, "checking events", store.events) as advance:
            for history in store.nodes():
                if kms is not None:
                    await kms.verify(history)
                macs = kms if secret is None else KeyFileMacs(secret)
                nodes.append(
                    audit_node(
                        history, until_ms, macs=macs, heads=heads, seals_from_ms=options.from_ms or 0, advance=advance
                    )
                )
        sources = options.groups or tuple(map(str, options.files))
        return AuditResult(
            sources, options.from_ms, until_ms, nodes, store.events, store.other_events, options.accept_running
        )


async def _events(
    options: AuditOptions, settings: Settings, now_ms: int, margin_ms: int, advance: Callable[[int], None]
) -> AsyncIterator[list[RawEvent]]:
    start_ms = 0 if options.from_ms is None else max(0, options.from_ms - margin_ms)
    end_ms = options.to_ms if options.to_ms is not None else now_ms + FUTURE_MS if options.groups else sys.maxsize
    if not options.groups:
        for some in read_files(options.files, advance):
            yield [event for event in some if start_ms <= event.time_ms <= end_ms]
        return
    async with open_cloudwatch(settings.cloudwatch) as client:
        async for some in read_groups(client, options.groups, start_ms, end_ms):
            advance(len(some))
            yield some


@contextmanager
def _progress(console: Console, does: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal; elsewhere nothing."""
    if not console.is_terminal:
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,.0f}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(does, total=total)
        yield lambda amount: progress.advance(task, amount)


def _secret(key_file: Path | None) -> bytes | None:
    if key_file is None:
        return None
    try:
        secret = secret_of(key_file.read_bytes())
    except OSError as error:
        raise AuditFailed(f"{key_file}: the key cannot be read ({error.strerror}); check --key-file") from error
    if not secret:
        raise AuditFailed(f"{key_file}: the key is empty; --key-file takes the file of seal.key_file")
    return secret
