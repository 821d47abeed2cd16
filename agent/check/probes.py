"""The checks of `falcowatch check`: each thing outside the agent that it needs, checked once, with one line each.

The checks change nothing: they create nothing in CloudWatch, and of a log file they read only the first and last bytes.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from agent.cloudwatch.client import LogsClient, open_cloudwatch
from agent.core.falco_state import FalcoState
from agent.core.values import Destination, Lane
from agent.enrich.factory import probe as probe_pods
from agent.enrich.pod import Pod
from agent.errors import Denied, DiscoveryError, FalcowatchError, KubernetesError, Missing, PutError
from agent.selfmonitor.falco_check import look_once
from agent.settings import CloudWatch, Settings
from agent.settings.destinations import destination
from agent.tail.discovery import Discovery
from agent.tail.open_log import open_log
from agent.web.report import Probe

API_SECONDS = 10.0
"""Time for the API server to answer; the agent itself waits longer."""


async def probes(settings: Settings) -> AsyncIterator[Probe]:
    """The checks, one after the other."""
    yield _log_files(settings)
    yield _state_dir(settings.state_dir)
    pods: list[Pod] = []
    yield await _enrichment(settings, pods)
    if (falco := _falco(settings, pods)) is not None:
        yield falco
    try:
        async with open_cloudwatch(settings.cloudwatch) as client:
            async for probe in _cloudwatch(settings, client):
                yield probe
            if settings.cloudwatch.resume == "exact":
                yield await _exact_resume(settings.cloudwatch, client, destination(settings, Lane.ROUTINE))
    except FalcowatchError as error:
        yield Probe("cloudwatch", False, str(error))


def _log_files(settings: Settings) -> Probe:
    try:
        found = Discovery(settings.tail).look()
    except DiscoveryError as error:
        return Probe("log files", False, str(error))
    place = settings.tail.root or ", ".join(settings.tail.paths)
    if not found and settings.tail.root is None:
        return Probe("log files", True, f"no file matches {place} yet")
    if not found:
        tail = settings.tail
        selected = f"namespace {tail.namespace}, pod {tail.pod}, container {tail.container}"
        return Probe("log files", True, f"{place} can be read; it contains no file yet of {selected}")
    for source, files in found.items():
        try:
            newest = files[-1]
            open_log(source.root, newest.relative, settings.tail.follow_links_into, newest.compression).close()
        except OSError as error:
            return Probe("log files", False, f"{source.path}: {error.strerror}")
    return Probe("log files", True, f"{len(found)} in {place}")


def _state_dir(directory: Path) -> Probe:
    """Whether the directory is writable and not locked. Leaves nothing in it."""
    try:
        if directory.exists():
            with tempfile.TemporaryFile(dir=directory) as file:
                file.write(b"probe")
                file.flush()
                os.fsync(file.fileno())
            lock = directory / "lock"
            if lock.exists():
                with lock.open("rb") as held:
                    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return Probe("state directory", True, f"{directory} is writable and not locked")
        parent = next(parent for parent in directory.parents if parent.exists())
        with tempfile.TemporaryFile(dir=parent):
            return Probe("state directory", True, f"{directory} can be created in {parent}")
    except BlockingIOError:
        return Probe("state directory", True, f"{directory} is writable and locked by the agent that is running")
    except OSError as error:
        return Probe(
            "state directory", False, f"{directory}: {error.strerror}; it must be a directory that this user may write"
        )


async def _enrichment(settings: Settings, pods: list[Pod]) -> Probe:
    """`pods`: receives the pods of this node."""
    try:
        async with asyncio.timeout(API_SECONDS):
            return Probe("enrichment", True, await probe_pods(settings, pods))
    except TimeoutError:
        return Probe("enrichment", False, f"the API server did not answer within {API_SECONDS:.0f} s")
    except KubernetesError as error:
        return Probe("enrichment", False, str(error))


def _falco(settings: Settings, pods: Sequence[Pod]) -> Probe | None:
    """Whether Falco on this node is read; None when the log root cannot be listed, which is a finding of its own."""
    try:
        found = Discovery(settings.tail).look()
    except DiscoveryError:
        return None
    view = look_once(settings.tail, settings.falco, found, pods)
    fine = not view.is_blind and view.state is not FalcoState.SILENT
    return Probe("falco", fine, f"{view.state.value}: {view.detail}", required=False)


async def _cloudwatch(settings: Settings, client: LogsClient) -> AsyncIterator[Probe]:
    try:
        identity = await client.identity()
    except PutError as error:
        yield Probe("credentials", False, str(error))
        return
    caller = identity.arn or f"key {identity.access_key} ({identity.why_no_arn})"
    yield Probe("credentials", True, f"{caller}, from {identity.provider}, in {identity.region}")
    group = destination(settings, Lane.ROUTINE).group
    try:
        drift = await client.drift(group)
    except Missing as error:
        created = f"{group} at {identity.endpoint} does not exist yet; the agent will create it"
        yield Probe("log group", settings.cloudwatch.create, created if settings.cloudwatch.create else str(error))
        return
    except Denied:
        unknown = f"{group} cannot be checked without logs:DescribeLogGroups; the agent itself does not need this right"
        yield Probe("log group", True, unknown)
        return
    except PutError as error:
        yield Probe("log group", False, str(error))
        return
    yield Probe("log group", True, f"{group} at {identity.endpoint}")
    for found in drift:
        difference = (
            f"{found.setting} is {found.actual}, but {found.configured} is configured; the agent changes nothing"
        )
        yield Probe("log group settings", False, difference, required=False)


async def _exact_resume(settings: CloudWatch, client: LogsClient, stream: Destination) -> Probe:
    """Whether events can be read back after a crash. Reads a millisecond of 1970, in which no stream has an event."""
    try:
        async for _ in client.read_back(stream, 0, 1):
            break
    except Missing:
        if settings.log_class != "INFREQUENT_ACCESS":
            return Probe("exact resume", True, "not checked, because the stream does not exist yet")
        unproven = (
            "AWS does not say whether GetLogEvents works in the class INFREQUENT_ACCESS, and there is no stream to try "
            "it on yet; run this check again when the agent has shipped. If it does not work, some events may arrive "
            "twice after a crash"
        )
        return Probe("exact resume", False, unproven, required=False)
    except PutError as error:
        twice = f"events cannot be read back, so some may arrive twice after a crash: {error}"
        return Probe("exact resume", False, twice, required=False)
    return Probe("exact resume", True, f"events can be read back from {stream.stream}")
