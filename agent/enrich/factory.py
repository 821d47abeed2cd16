"""Chooses the source of pod metadata from the settings, and holds the Enricher protocol that the pipeline uses."""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Final, Literal, Protocol

from agent.core.pod_metadata import FIELDS, selected
from agent.core.values import Fragment, PodKey
from agent.enrich.enricher import AlertOnly, PodEnricher
from agent.enrich.kube_watch import PodWatch
from agent.enrich.pod import Pod, Selection
from agent.enrich.pod_file import PodFile, read_pod_file
from agent.enrich.responses import PodListReader
from agent.errors import KubernetesError
from agent.settings.enrich import Enrich
from agent.settings.model import Settings
from agent.telemetry.metrics import Telemetry

SERVICE_ACCOUNT_TOKEN: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
"""kubelet mounts the token here. Its presence means that the agent runs in a pod that may use the API server."""


SERVICE_HOST_VARIABLE: Final = "KUBERNETES_SERVICE_HOST"
"""kubelet sets this variable in every pod."""


class Enricher(Protocol):
    """The questions of the pipeline, and of the status page."""

    @property
    def problem(self) -> str | None:
        """Why there is no metadata for new pods, with the remedy; None when enrichment works or is off on purpose."""
        ...

    def fragment(self, key: PodKey, time_ms: int) -> Fragment | None:
        """The fragment to append. None: the pod is unknown so far, and `appear` should be awaited once."""
        ...

    @property
    def listed(self) -> bool:
        """The pods have been listed once."""
        ...

    @property
    def pod_count(self) -> int:
        """Pods known now, deleted ones included."""
        ...

    def unknown(self, key: PodKey, result: Literal["miss", "late"]) -> Fragment:
        """`"kubernetes":{"status":"unknown", …}` with the fields that the alert itself carries."""
        ...

    async def appear(self, keys: Collection[PodKey], timeout_seconds: float) -> None:
        """Returns when all pods are known, the source has failed, or the time is up.

        Records of a pod that did not appear in time ship with the result `late`. The same pod is not waited for again
        for five minutes.
        """
        ...

    async def run(self) -> None:
        """Keeps the pods up to date until cancelled. Never raises because of the API server or the file."""
        ...


def build_enricher(settings: Settings, telemetry: Telemetry) -> Enricher:
    """The enricher of `enrich.mode`. `none`: no source. Otherwise `enrich.file` if set, else the API server.

    With `auto` and no file the API server is used only where a service account token is mounted.
    """
    enrich = settings.enrich
    selection = Selection(enrich.labels, enrich.annotations, enrich.max_bytes)
    wanted = selected(FIELDS, enrich.fields)
    match _origin(enrich):
        case "alert":
            return AlertOnly(telemetry, _why_off(enrich), enrich.max_bytes, wanted)
        case "api":
            # Imported here, so that an agent without enrichment does not load kubernetes-asyncio.
            from agent.enrich.kube_api import connect

            watch = PodWatch(partial(connect, settings.node_name), selection, telemetry)
            return PodEnricher(watch, enrich.keep_deleted_seconds, telemetry, enrich.max_bytes, wanted)
        case path:
            file = PodFile(path, selection)
            return PodEnricher(file, enrich.keep_deleted_seconds, telemetry, enrich.max_bytes, wanted)


async def probe(settings: Settings, found: list[Pod] | None = None) -> str:
    """Reads the pods once, for `falcowatch check`. Raises KubernetesError with the remedy.

    `found`: receives the pods of this node.
    """
    read: list[Pod] = [] if found is None else found
    selection = Selection([], [])
    match _origin(settings.enrich):
        case "alert":
            if (problem := _why_off(settings.enrich)) is not None:
                raise KubernetesError(problem)
            return "off; events carry only the pod fields of the alert itself"
        case "api":
            from agent.enrich.kube_api import connect

            token: str | None = None
            async with connect(settings.node_name) as api:
                while token != "":
                    reader = PodListReader(selection)
                    async with aclosing(api.list_pods(token or "")) as pieces:
                        async for piece in pieces:
                            read += reader.feed(piece)
                    token = reader.end().continue_token
            return f"the API server lists {len(read)} pods on node {settings.node_name}"
        case path:
            read += read_pod_file(path, selection).pods
            return f"{path} lists {len(read)} pods"


def _why_off(enrich: Enrich) -> str | None:
    """The problem when there is no source although the agent runs in a pod; None when enrichment is off on purpose."""
    if enrich.mode == "none" or SERVICE_HOST_VARIABLE not in os.environ:
        return None
    return (
        "no service account token is mounted, so pods cannot be read from the API server; set "
        "automountServiceAccountToken for the agent's pod, or set enrich.mode to none"
    )


def _origin(enrich: Enrich) -> Literal["alert", "api"] | Path:
    if enrich.mode == "none":
        return "alert"
    if enrich.file is not None:
        return enrich.file
    return "api" if enrich.mode == "api" or SERVICE_ACCOUNT_TOKEN.exists() else "alert"
