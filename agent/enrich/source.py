"""The interface between a source of pods (the API server, a file) and the enricher that uses them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from agent.enrich.pod import Pod


class PodSink(Protocol):
    """Receives the pods of this node from a source."""

    def pods_listed(self, pods: Collection[Pod]) -> None:
        """The complete list of living pods."""
        ...

    def pod_changed(self, pod: Pod) -> None: ...

    def pod_deleted(self, pod: Pod) -> None: ...

    def source_works(self, works: bool) -> None:
        """Whether the source would report a new pod. The source calls this after every answer and every failure."""
        ...


class PodSource(Protocol):
    """Keeps a sink up to date."""

    async def run(self, sink: PodSink) -> None:
        """Runs until cancelled. Never raises because of an answer of the API server or the content of a file."""
        ...
