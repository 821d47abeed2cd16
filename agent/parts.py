"""Builds every part of the agent and joins them. Nothing runs yet: `app` starts the parts and ends them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Final

from msgspec import Struct

from agent.cloudwatch.client import LogsClient
from agent.cloudwatch.entity import cluster_entity
from agent.core.falco_state import NodeFalco
from agent.core.processing.kinds import Policy
from agent.core.processing.processor import Processor
from agent.core.processing.urgent_scan import UrgentMatcher
from agent.core.proof.seal import settings_digest
from agent.core.values import Lane
from agent.deadletters import commands
from agent.deadletters.store import DeadLetterStore
from agent.deadletters.writer import DeadLetterWriter
from agent.enrich.enricher import PodEnricher
from agent.enrich.factory import Enricher, build_enricher
from agent.enrich.pod import Pod
from agent.enrich.pod_wait import PodWait
from agent.flow.budget import Budget
from agent.pipeline import Pipeline
from agent.selfmonitor.chain import chain_of
from agent.selfmonitor.counts import Counts
from agent.selfmonitor.duplicates import DuplicatePublisher
from agent.selfmonitor.enrichment_watch import EnrichmentWatch
from agent.selfmonitor.falco_finder import FalcoFinder, restarts_known
from agent.selfmonitor.falco_watch import FalcoWatch, look_interval
from agent.selfmonitor.gaps import GapAnnouncer
from agent.selfmonitor.liveness import Liveness
from agent.selfmonitor.lost_dead_letters import announce_lost
from agent.selfmonitor.notices import Notices
from agent.selfmonitor.outbox import Outbox
from agent.selfmonitor.sealer import Sealer
from agent.settings import Settings
from agent.settings.destinations import destination
from agent.ship.delivery import Sender
from agent.ship.journal import Journal
from agent.ship.shipper import Shipper
from agent.ship.spill_file import SpillFile
from agent.tail.checkpoint import Restored
from agent.tail.reader import Reader
from agent.tail.types import Gap, Reading
from agent.telemetry import Telemetry

POD_WAIT_SHARE: Final = 8
"""At most one eighth of the budget may wait for pods that are not known yet."""

URGENT_BUDGET_SHARE: Final = 8
"""One eighth of the budget is reserved for the urgent scan, which is never behind a full budget of routine alerts."""


class Parts(Struct, frozen=True):
    """All parts of one agent, joined."""

    settings: Settings
    client: LogsClient
    group: str
    """The log group of Falco's alerts, its template filled in."""
    telemetry: Telemetry
    budget: Budget
    enricher: Enricher
    pod_wait: PodWait
    journal: Journal | None
    """None: resume is `at_least_once`."""
    dead_letters: DeadLetterWriter
    shipper: Shipper
    outbox: Outbox
    sealer: Sealer | None
    """None: seals are switched off."""
    gaps: GapAnnouncer
    notices: Notices
    liveness: Liveness
    falco_watch: FalcoWatch
    enrichment_watch: EnrichmentWatch
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
        destination=partial(destination, settings),
        budget=budget,
        rejected=dead_letters,
        telemetry=telemetry,
        sender=Sender(settings.node_name, settings.cluster_name, _entity(settings)),
        journal=journal,
        spill=_spill_file(settings),
        note_rejected=lambda file, offset: reader.note_rejected(file, offset),
    )
    enricher = build_enricher(settings, telemetry)
    notices = Notices(telemetry)
    counts = Counts(telemetry)
    pod_wait = PodWait(
        enricher,
        wait_seconds=settings.enrich.wait_seconds,
        limit_bytes=settings.memory_budget_bytes // POD_WAIT_SHARE,
        defects=telemetry.defects,
    )
    processor = Processor(_policy(settings), node=settings.node_name, cluster=settings.cluster_name)
    pipeline = Pipeline(
        processor,
        budget=budget,
        enricher=enricher,
        pod_wait=pod_wait,
        shipper=shipper,
        dead_letters=dead_letters,
        notices=notices,
        counts=counts,
        telemetry=telemetry,
    )
    moved = asyncio.Event()
    outbox = Outbox(
        shipper.accept,
        budget,
        node=settings.node_name,
        cluster=settings.cluster_name,
        changed=moved.set,
    )
    dead_letters.announce = partial(announce_lost, outbox)
    gaps = GapAnnouncer(outbox, telemetry)
    duplicates = DuplicatePublisher(
        processor.deduplicator,
        publish=outbox.publish,
        fragment=pipeline.fragment_now,
        counts=counts,
        defects=telemetry.defects,
    )

    def announce(gap: Gap) -> None:
        """A defect here must not end the reading."""
        with telemetry.defects.contained("selfmonitor"):
            gaps.announce(gap)
            if sealer is not None:
                sealer.note_gap(gap)

    sealer: Sealer | None = None
    sealed = settings.seal.enabled and settings.heartbeat_seconds > 0
    reading = Reading(
        settings.tail,
        budget,
        telemetry,
        pipeline.convey,
        announce,
        restored.positions,
        matcher=UrgentMatcher(settings.falco.urgent_priority) if settings.falco.express_bytes else None,
        express_bytes=settings.falco.express_bytes,
        urgent_bytes=partial(shipper.held_bytes, Lane.URGENT),
        moved=moved,
        sealed=sealed,
        unshipped=restored.seal.unshipped if restored.seal is not None else {},
    )
    reader = Reader(reading, restored)
    if sealed:
        sealer = Sealer(
            chain_of(settings.seal, restored),
            restored.seal.files if restored.seal is not None else (),
            settings=settings_digest(settings.model_dump(mode="json", include={"tail", "falco"})),
            reader=reader,
            outbox=outbox,
            counts=counts,
            telemetry=telemetry,
            sign=partial(client.sign, settings.seal.kms_key_id, settings.seal.kms_algorithm)
            if settings.seal.kms_key_id is not None
            else None,
        )
    silent_seconds, missing_seconds = settings.falco.silent_seconds, settings.falco.missing_seconds
    liveness = Liveness(silent_seconds, restarts_known(restored.positions))
    finder = FalcoFinder(settings.tail)
    falco_watch = FalcoWatch(
        reader=reader,
        pods=partial(_pods_known, enricher),
        finder=finder,
        liveness=liveness,
        node=NodeFalco(silent_seconds, missing_seconds, finder.selected_by),
        version=lambda: notices.version,
        telemetry=telemetry,
        publish=outbox.publish,
        look_seconds=look_interval(silent_seconds, missing_seconds),
    )
    return Parts(
        settings=settings,
        client=client,
        group=destination(settings, Lane.ROUTINE).group,
        telemetry=telemetry,
        budget=budget,
        enricher=enricher,
        pod_wait=pod_wait,
        journal=journal,
        dead_letters=dead_letters,
        shipper=shipper,
        outbox=outbox,
        sealer=sealer,
        gaps=gaps,
        notices=notices,
        liveness=liveness,
        falco_watch=falco_watch,
        enrichment_watch=EnrichmentWatch(lambda: enricher.problem, outbox.publish),
        duplicates=duplicates,
        pipeline=pipeline,
        reading=reading,
        reader=reader,
    )


def _spill_file(settings: Settings) -> SpillFile | None:
    return SpillFile(settings.state_dir, settings.spill_bytes) if settings.spill_bytes else None


def _pods_known(enricher: Enricher) -> Iterable[Pod]:
    """The pods on this node; none while the API server does not answer, because they may not exist any more."""
    return enricher.living() if isinstance(enricher, PodEnricher) and enricher.problem is None else ()


def _policy(settings: Settings) -> Policy:
    falco, cloudwatch = settings.falco, settings.cloudwatch
    return Policy(
        falco.minimum_priority,
        falco.urgent_priority,
        tuple(falco.drop_rules),
        falco.other_lines == "ship",
        falco.storm_limit,
        tuple(falco.storm_keys),
        cloudwatch.out_of_window == "adjust",
        cloudwatch.retention_days,
    )


def _entity(settings: Settings) -> Mapping[str, object] | None:
    if not settings.cloudwatch.entity:
        return None
    return cluster_entity(
        cluster_name=settings.cluster_name, node_name=settings.node_name, namespace=settings.tail.namespace
    )
