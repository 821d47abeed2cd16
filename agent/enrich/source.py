"""The interface between a source of pods (the API server, a file) and the enricher that uses them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from agent.enrich.pod import Pod


class PodSink(Protocol):
    """Receives the pods of this node from a source."""

    def pod_changed(self, pod: Pod) -> None: ...

    def pod_deleted(self, pod: Pod) -> None: ...

    def pods_listed(self, uids: Collection[str]) -> None:
        """A list is complete: every pod in it was reported by `pod_changed`, and pods that are not in it are gone."""
        ...

    def source_works(self, *, reports_new_pods: bool) -> None:
        """The source got a good answer. `reports_new_pods`: it will report a new pod soon after it is created."""
        ...

    def source_failed(self, reason: str) -> None:
        """The source cannot get pods at the moment. `reason` is a sentence with the remedy."""
        ...


class PodSource(Protocol):
    """Keeps a sink up to date."""

    async def run(self, sink: PodSink) -> None:
        """Runs until cancelled. Never raises because of an answer of the API server or the content of a file."""
        ...
