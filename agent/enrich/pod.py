"""Decodes a pod of the API server into the few fields that an alert is enriched with.

The decoder is typed and partial: fields that are not named here (managedFields, volumes, conditions) are skipped in the
bytes and never become Python objects. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import translate

import msgspec

from agent.core.falco_pods import is_helm_test, recognise_pod
from agent.enrich.workload import Owner, Workload, workload_of

LARGEST_METADATA_BYTES = 8192
"""Bound on the labels and annotations of one pod, names and values together. An entry that does not fit is left out
as a whole and counted."""

_FINISHED = frozenset({"Succeeded", "Failed"})
"""Phases of a pod whose containers have all ended."""

STATIC_POD_UID = "kubernetes.io/config.mirror"
"""The annotation that holds a static pod's real uid, which kubelet and Falco use; its mirror pod has another uid."""


@dataclass(frozen=True, slots=True)
class Container:
    """One container of a pod: main, init or ephemeral."""

    name: str
    image: str
    image_digest: str
    """`registry/name@sha256:…` once the image is pulled, else empty."""
    ids: tuple[str, ...]
    """Container ids of 64 hexadecimal characters: the current one first, then earlier ones."""


@dataclass(frozen=True, slots=True)
class Pod:
    """The fields of a pod that the cache keeps."""

    namespace: str
    name: str
    uid: str
    static_uid: str
    created_ms: int
    node: str
    service_account: str
    workload: Workload
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    labels_dropped: int
    annotations_dropped: int
    containers: tuple[Container, ...]
    falco_because: str = ""
    """Why the pod is Falco, whatever its namespace and name are; empty: it is not."""
    is_helm_test: bool = False
    is_finished: bool = False
    """All its containers have ended and will not start again."""


class Selection:
    """Globs over the names of the labels and annotations to copy."""

    def __init__(self, labels: Sequence[str], annotations: Sequence[str]) -> None:
        self._labels = _matcher(labels)
        self._annotations = _matcher(annotations)

    def labels(self, found: Mapping[str, str]) -> dict[str, str]:
        return {name: value for name, value in found.items() if self._labels.fullmatch(name)}

    def annotations(self, found: Mapping[str, str]) -> dict[str, str]:
        return {name: value for name, value in found.items() if self._annotations.fullmatch(name)}


def decode_pod(data: bytes | msgspec.Raw, selection: Selection) -> Pod:
    """Raises msgspec.MsgspecError for bytes that are not a pod with namespace, name and uid."""
    return project(_decode(data), selection)


def project(found: PodObject, selection: Selection) -> Pod:
    """Reduces the API's object to a Pod."""
    metadata = found.metadata
    all_labels = metadata.labels or {}
    created_ms = _milliseconds(metadata.creation_timestamp)
    labels, labels_dropped, room = _fit(selection.labels(all_labels), LARGEST_METADATA_BYTES)
    annotations, annotations_dropped, _ = _fit(selection.annotations(metadata.annotations or {}), room)
    return Pod(
        namespace=metadata.namespace,
        name=metadata.name,
        uid=metadata.uid,
        static_uid=(metadata.annotations or {}).get(STATIC_POD_UID, ""),
        created_ms=created_ms,
        node=found.spec.node_name or "",
        service_account=found.spec.service_account_name or "",
        workload=workload_of(metadata.name, _controller(metadata), all_labels, created_ms),
        labels=labels,
        annotations=annotations,
        labels_dropped=labels_dropped,
        annotations_dropped=annotations_dropped,
        containers=_containers(found),
        falco_because=recognise_pod(all_labels, _main_containers(found)),
        is_helm_test=is_helm_test(metadata.annotations or {}),
        is_finished=found.status.phase in _FINISHED,
    )


def _main_containers(found: PodObject) -> list[tuple[str, str]]:
    return [(each.name, each.image or "") for each in found.spec.containers or ()]


class _Object(msgspec.Struct, gc=False, rename="camel"):
    """Base of the decoded objects. The API server writes a missing list or string as null or omits it: None here."""


class OwnerReference(_Object):
    kind: str
    name: str
    controller: bool | None = None


class Metadata(_Object):
    name: str
    namespace: str
    uid: str
    creation_timestamp: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: list[OwnerReference] | None = None


class ContainerSpec(_Object):
    name: str
    image: str | None = None


class Spec(_Object):
    node_name: str | None = None
    service_account_name: str | None = None
    containers: list[ContainerSpec] | None = None
    init_containers: list[ContainerSpec] | None = None
    ephemeral_containers: list[ContainerSpec] | None = None


class Terminated(_Object):
    container_id: str | None = msgspec.field(name="containerID", default=None)


class State(_Object):
    terminated: Terminated | None = None


class ContainerStatus(_Object):
    name: str
    image: str | None = None
    image_id: str | None = msgspec.field(name="imageID", default=None)
    container_id: str | None = msgspec.field(name="containerID", default=None)
    last_state: State | None = None


class Status(_Object):
    container_statuses: list[ContainerStatus] | None = None
    init_container_statuses: list[ContainerStatus] | None = None
    ephemeral_container_statuses: list[ContainerStatus] | None = None
    phase: str | None = None


class PodObject(_Object):
    """The part of core/v1 Pod that is decoded."""

    metadata: Metadata
    spec: Spec = msgspec.field(default_factory=Spec)
    status: Status = msgspec.field(default_factory=Status)


_decode = msgspec.json.Decoder(PodObject).decode


def _matcher(globs: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(translate(glob) for glob in globs) or r"(?!)")


def _fit(entries: Mapping[str, str], room: int) -> tuple[dict[str, str], int, int]:
    """The entries that fit as a whole, the number that do not, and the bytes left."""
    kept: dict[str, str] = {}
    for name, value in entries.items():
        size = len(name.encode()) + len(value.encode())
        if size <= room:
            kept[name] = value
            room -= size
    return kept, len(entries) - len(kept), room


def _controller(metadata: Metadata) -> Owner | None:
    references = metadata.owner_references or []
    chosen = next((each for each in references if each.controller), references[0] if references else None)
    return Owner(chosen.kind, chosen.name) if chosen else None


def _containers(found: PodObject) -> tuple[Container, ...]:
    spec, status = found.spec, found.status
    statuses = {
        each.name: each
        for group in (status.container_statuses, status.init_container_statuses, status.ephemeral_container_statuses)
        for each in group or ()
    }
    return tuple(
        _container(each, statuses.get(each.name))
        for group in (spec.containers, spec.init_containers, spec.ephemeral_containers)
        for each in group or ()
    )


def _container(spec: ContainerSpec, status: ContainerStatus | None) -> Container:
    if status is None:
        return Container(spec.name, spec.image or "", "", ())
    previous = status.last_state.terminated.container_id if status.last_state and status.last_state.terminated else None
    ids = tuple(bare for identity in (status.container_id, previous) if identity and (bare := _after(identity, "://")))
    # The runtime fills status.image with one of the image's tags, or with the bare digest when it knows no tag.
    named_by_digest = (status.image or "").startswith("sha256:")
    image = spec.image if named_by_digest else status.image or spec.image
    return Container(spec.name, image or "", _digest(status.image_id or ""), ids)


def _digest(image_id: str) -> str:
    """`docker-pullable://nginx@sha256:…` → `nginx@sha256:…`; empty for an id without a repository digest."""
    bare = _after(image_id, "://")
    return bare if "@" in bare else ""


def _after(text: str, mark: str) -> str:
    return text.rpartition(mark)[2]


def _milliseconds(stamp: str | None) -> int:
    """Parses the API's time stamp. An unreadable or missing stamp is 0: the pod has always existed."""
    try:
        return int(datetime.fromisoformat(stamp).timestamp() * 1000) if stamp else 0
    except ValueError:
        return 0
