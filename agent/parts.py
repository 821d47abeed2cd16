"""Builds every part of the agent and joins them. Nothing runs yet: `app` starts the parts and ends them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from agent.cloudwatch.client import LogsClient
from agent.cloudwatch.entity import cluster_entity
from agent.core.falco_state import NodeFalco
from agent.core.processing.kinds import Policy
from agent.core.processing.processor import Processor
from agent.core.processing.urgent_scan import UrgentMatcher
from agent.core.values import Destination, Lane
from agent.deadletters import commands
from agent.deadletters.store import DeadLetterStore
from agent.deadletters.writer import DeadLetterWriter
from agent.enrich.enricher import PodEnricher
from agent.enrich.factory import Enricher, build_enricher
from agent.flow.budget import Budget
from agent.pipeline import Pipeline
from agent.selfmonitor.counts import Counts
from agent.selfmonitor.duplicates import DuplicatePublisher
from agent.selfmonitor.falco_finder import FalcoFinder, restarts_known
from agent.selfmonitor.falco_watch import FalcoWatch, look_interval
from agent.selfmonitor.gaps import GapAnnouncer
from agent.selfmonitor.liveness import Liveness
from agent.selfmonitor.notices import Notices
from agent.selfmonitor.outbox import Outbox
from agent.settings import FalcoRules, Settings
from agent.ship.journal import Journal
from agent.ship.shipper import Shipper
from agent.tail.checkpoint import Restored
from agent.tail.reader import Reader
from agent.tail.reading import Reading
from agent.telemetry import Telemetry

URGENT_BUDGET_SHARE: Final = 8
"""One eighth of the budget is reserved for the urgent scan, which is never behind a full budget of routine alerts."""

_STREAM_SUFFIX: Final = {Lane.ROUTINE: "", Lane.URGENT: "/urgent", Lane.OTHER: "/falco-log"}


@dataclass(frozen=True, slots=True)
class Parts:
    """All parts of one agent, joined."""

    settings: Settings
    client: LogsClient
    group: str
    """The log group of Falco's alerts, its template filled in."""
    telemetry: Telemetry
    budget: Budget
    enricher: Enricher
    journal: Journal | None
    """None: resume is `at_least_once`."""
    dead_letters: DeadLetterWriter
    shipper: Shipper
    outbox: Outbox
    gaps: GapAnnouncer
    notices: Notices
    liveness: Liveness
    falco_watch: FalcoWatch
    duplicates: DuplicatePublisher
    pipeline: Pipeline
    reading: Reading
    reader: Reader


def build_parts(settings: Settings, client: LogsClient, restored: Restored, version: str) -> Parts:
    """`restored`: the checkpoint of the last run."""
    telemetry = Telemetry(version)
    budget = Budget(settings.memory_budget_bytes, settings.memory_budget_bytes // URGENT_BUDGET_SHARE)
    dead_letters = DeadLetterWriter(DeadLetterStore(settings.state_dir / commands.DIRECTORY), telemetry)
    journal = Journal(settings.state_dir / "journal") if settings.cloudwatch.resume == "exact" else None
    shipper = Shipper(
        settings.cloudwatch,
        client,
        destination=partial(_destination, settings),
        budget=budget,
        rejected=dead_letters,
        telemetry=telemetry,
        entity=_entity(settings),
        journal=journal,
    )
    enricher = build_enricher(settings, telemetry)
    notices = Notices(telemetry)
    counts = Counts(telemetry)
    processor = Processor(_policy(settings.falco), node=settings.node_name, cluster=settings.cluster_name)
    pipeline = Pipeline(
        processor,
        budget=budget,
        enricher=enricher,
        wait_seconds=settings.enrich.wait_seconds,
        shipper=shipper,
        dead_letters=dead_letters,
        notices=notices,
        counts=counts,
        telemetry=telemetry,
    )
    outbox = Outbox(
        shipper.accept,
        budget,
        node=settings.node_name,
        cluster=settings.cluster_name,
        namespace=_own_namespace(settings),
    )
    gaps = GapAnnouncer(outbox, telemetry)
    duplicates = DuplicatePublisher(
        processor.deduplicator, publish=outbox.publish, fragment=pipeline.fragment_now, counts=counts
    )
    reading = Reading(
        settings.tail,
        budget,
        telemetry,
        pipeline.convey,
        gaps.announce,
        restored.positions,
        matcher=UrgentMatcher(settings.falco.urgent_priority) if settings.falco.express_bytes else None,
        express_bytes=settings.falco.express_bytes,
    )
    reader = Reader(reading, restored)
    silent_seconds, missing_seconds = settings.falco.silent_seconds, settings.falco.missing_seconds
    liveness = Liveness(silent_seconds, restarts_known(restored.positions))
    tail = settings.tail
    falco_watch = FalcoWatch(
        reader=reader,
        pods=enricher.living if isinstance(enricher, PodEnricher) else tuple,
        finder=FalcoFinder(tail),
        liveness=liveness,
        node=NodeFalco(silent_seconds, missing_seconds),
        version=lambda: notices.version,
        telemetry=telemetry,
        publish=outbox.publish,
        look_seconds=look_interval(silent_seconds, missing_seconds),
    )
    return Parts(
        settings=settings,
        client=client,
        group=_destination(settings, Lane.ROUTINE, tail.namespace).group,
        telemetry=telemetry,
        budget=budget,
        enricher=enricher,
        journal=journal,
        dead_letters=dead_letters,
        shipper=shipper,
        outbox=outbox,
        gaps=gaps,
        notices=notices,
        liveness=liveness,
        falco_watch=falco_watch,
        duplicates=duplicates,
        pipeline=pipeline,
        reading=reading,
        reader=reader,
    )


def _destination(settings: Settings, lane: Lane, namespace: str) -> Destination:
    """Fills the templates of log group and log stream."""
    values = {"cluster": settings.cluster_name, "node": settings.node_name, "namespace": namespace}
    stream = settings.cloudwatch.log_stream.format(**values) + _STREAM_SUFFIX[lane]
    return Destination(settings.log_group_template.format(**values), stream)


def _own_namespace(settings: Settings) -> str:
    """The namespace that own events fill into `{namespace}`: Falco's, empty when it is a glob."""
    namespace = settings.tail.namespace
    return "" if set(namespace) & set("*?[") else namespace


def _policy(falco: FalcoRules) -> Policy:
    return Policy(
        falco.minimum_priority,
        falco.urgent_priority,
        tuple(falco.drop_rules),
        falco.other_lines == "ship",
        falco.storm_limit,
        tuple(falco.storm_keys),
    )


def _entity(settings: Settings) -> Mapping[str, object] | None:
    if not settings.cloudwatch.entity:
        return None
    return cluster_entity(
        cluster_name=settings.cluster_name, node_name=settings.node_name, namespace=settings.tail.namespace
    )
