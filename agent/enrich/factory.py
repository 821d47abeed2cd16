"""Chooses where pod metadata comes from."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Final, Literal, Protocol

from agent.core.values import Fragment, PodKey
from agent.enrich.enricher import AlertOnly, PodEnricher
from agent.enrich.kube_watch import PodWatch
from agent.enrich.pod import Selection
from agent.enrich.pod_file import PodFile, read_pod_file
from agent.enrich.responses import read_list
from agent.settings.model import Enrich, Settings
from agent.telemetry.metrics import Telemetry

SERVICE_ACCOUNT_TOKEN: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
"""Where kubelet mounts it: the sign of being inside a cluster, with leave to speak to its API."""


class Enricher(Protocol):
    """What the pipeline asks."""

    def fragment(self, key: PodKey, time_ms: int) -> Fragment | None:
        """The fragment to append; None: not known yet, and worth one wait in `appear`."""
        ...

    @property
    def listed(self) -> bool:
        """The pods have been listed once."""
        ...

    def unknown(self, key: PodKey, result: Literal["miss", "late"]) -> Fragment:
        """`"kubernetes":{"status":"unknown", …what the alert itself says}`."""
        ...

    async def appear(self, keys: Collection[PodKey], timeout_seconds: float) -> None:
        """Returns when all are known, the source has failed, or the time is up.

        A key that did not appear in time ships as `late` now, and is not worth waiting for again for five minutes.
        """
        ...

    async def run(self) -> None:
        """Keeps the pods up to date until cancelled; never raises for what the API or the file does."""
        ...


def build_enricher(settings: Settings, telemetry: Telemetry) -> Enricher:
    """`none` is none; else the file if one is named; else the API: with `auto`, only where a token is mounted."""
    enrich = settings.enrich
    selection = Selection(enrich.labels, enrich.annotations)
    match _origin(enrich):
        case "alert":
            return AlertOnly()
        case "api":
            # Imported here: it brings 35 MB of kubernetes-asyncio, which an agent without enrichment must not pay for.
            from agent.enrich.kube_api import connect

            watch = PodWatch(partial(connect, settings.node_name), selection, telemetry)
            return PodEnricher(watch, enrich.keep_deleted_seconds, telemetry)
        case path:
            return PodEnricher(PodFile(path, selection), enrich.keep_deleted_seconds, telemetry)


async def probe(settings: Settings) -> str:
    """Asks once where the pods would come from, for `falcowatch check`. Raises KubernetesError with the remedy."""
    selection = Selection([], [])
    match _origin(settings.enrich):
        case "alert":
            return "off: events carry what the alert itself says of its pod"
        case "api":
            from agent.enrich.kube_api import connect

            async with connect(settings.node_name) as api:
                pods = len(read_list(await api.list_pods(), selection).pods)
            return f"API server: {pods} pods on node {settings.node_name}"
        case path:
            return f"{path}: {len(read_pod_file(path, selection).pods)} pods"


def _origin(enrich: Enrich) -> Literal["alert", "api"] | Path:
    if enrich.mode == "none":
        return "alert"
    if enrich.file is not None:
        return enrich.file
    return "api" if enrich.mode == "api" or SERVICE_ACCOUNT_TOKEN.exists() else "alert"
