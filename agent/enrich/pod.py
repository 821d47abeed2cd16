"""Decodes a pod of the API server into the few fields that an alert is enriched with.

The decoder is typed and partial: fields that are not named here (managedFields, volumes, conditions) are skipped in the
bytes and never become Python objects. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from sys import intern

import msgspec
from msgspec import Struct

from agent.core.falco_pods import is_helm_test, recognise_pod
from agent.core.pod_metadata import Globs
from agent.enrich.workload import Owner, Workload, workload_of

LONGEST_NAME_CHARS = 253
"""Longest namespace, pod name, uid or node name of Kubernetes. An object with a longer one is not a pod."""

LONGEST_TEXT_CHARS = 1024
"""Longest image, workload or service account that is kept; a longer one is left out."""

MOST_DROPPED_NAMES = 32
"""Names of labels and annotations kept of those that did not fit; all of them are counted."""

LARGEST_CONTAINERS_BYTES = 64 * 1024
"""Bound on the names, images and ids of a pod's containers. Containers beyond it are left out."""

TEXT_OVERHEAD_BYTES = 64
"""What Python needs for a short text beyond its characters, about."""

_FINISHED = frozenset({"Succeeded", "Failed"})
"""Phases of a pod whose containers have all ended."""

STATIC_POD_UID = "kubernetes.io/config.mirror"
"""The annotation that holds a static pod's real uid, which kubelet and Falco use; its mirror pod has another uid."""


class Container(Struct, frozen=True):
    """One container of a pod: main, init or ephemeral."""

    name: str
    image: str
    image_digest: str
    """`registry/name@sha256:…` once the image is pulled, else empty."""
    ids: tuple[str, ...]
    """Container ids of 64 hexadecimal characters: the current one first, then earlier ones."""


class Pod(Struct, frozen=True):
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
    dropped: tuple[str, ...]
    """Names of the labels and annotations that did not fit: `labels.<name>`, `annotations.<name>`."""
    containers: tuple[Container, ...]
    falco_because: str = ""
    """Why the pod is Falco, whatever its namespace and name are; empty: it is not."""
    is_helm_test: bool = False
    is_finished: bool = False
    """All its containers have ended and will not start again."""

    @property
    def cost_bytes(self) -> int:
        """About the memory that the pod takes in the cache."""
        texts = [self.namespace, self.name, self.uid, self.static_uid, self.node, self.service_account]
        texts += [*self.workload, *self.dropped]
        for entries in (self.labels, self.annotations):
            texts += [*entries, *entries.values()]
        for container in self.containers:
            texts += [container.name, container.image, container.image_digest, *container.ids]
        return sum(map(len, texts)) + TEXT_OVERHEAD_BYTES * (len(texts) + 8)


class Selection:
    """Globs over the names of the labels and annotations to copy, and the bytes that they may take together."""

    def __init__(self, labels: Sequence[str], annotations: Sequence[str], max_bytes: int = 4096) -> None:
        self.max_bytes = max_bytes
        self._labels = Globs(labels)
        self._annotations = Globs(annotations)

    def labels(self, found: Mapping[str, str]) -> dict[str, str]:
        return {name: value for name, value in found.items() if self._labels.select(name)}

    def annotations(self, found: Mapping[str, str]) -> dict[str, str]:
        return {name: value for name, value in found.items() if self._annotations.select(name)}


def decode_pod(data: bytes | bytearray | msgspec.Raw, selection: Selection) -> Pod:
    """Raises msgspec.MsgspecError for bytes that are not a pod with namespace, name and uid.

    Raises RecursionError or UnicodeDecodeError for JSON that is nested too deep or is not UTF-8.
    """
    return project(_decode(data), selection)


def project(found: PodObject, selection: Selection) -> Pod:
    """Reduces the API's object to a Pod."""
    metadata = found.metadata
    all_labels = metadata.labels or {}
    created_ms = _milliseconds(metadata.creation_timestamp)
    labels, labels_dropped, room = _fit(selection.labels(all_labels), selection.max_bytes)
    annotations, annotations_dropped, _ = _fit(selection.annotations(metadata.annotations or {}), room)
    dropped = [f"labels.{name}" for name in labels_dropped] + [f"annotations.{name}" for name in annotations_dropped]
    workload = workload_of(metadata.name, _controller(metadata), all_labels, created_ms)
    return Pod(
        namespace=_name(metadata.namespace),
        name=_name(metadata.name),
        uid=_name(metadata.uid),
        static_uid=_text((metadata.annotations or {}).get(STATIC_POD_UID)),
        created_ms=created_ms,
        node=_text(found.spec.node_name),
        service_account=_text(found.spec.service_account_name),
        workload=Workload(_text(workload.kind), _text(workload.name)),
        labels=labels,
        annotations=annotations,
        labels_dropped=len(labels_dropped),
        annotations_dropped=len(annotations_dropped),
        dropped=tuple(name for name in dropped[:MOST_DROPPED_NAMES] if len(name) <= LONGEST_TEXT_CHARS),
        containers=_bounded(_containers(found)),
        falco_because=recognise_pod(all_labels, _main_containers(found)),
        is_helm_test=is_helm_test(metadata.annotations or {}),
        is_finished=found.status.phase in _FINISHED,
    )


def _name(text: str) -> str:
    if len(text) > LONGEST_NAME_CHARS:
        raise msgspec.ValidationError(f"a name of {len(text)} characters is not a name of Kubernetes")
    return text


def _text(text: str | None) -> str:
    return text if text and len(text) <= LONGEST_TEXT_CHARS else ""


def _bounded(containers: tuple[Container, ...]) -> tuple[Container, ...]:
    """The containers that fit LARGEST_CONTAINERS_BYTES, with texts that are too long left out."""
    kept, room = [], LARGEST_CONTAINERS_BYTES
    for each in containers:
        ids = tuple(identity for identity in each.ids if len(identity) <= LONGEST_NAME_CHARS)
        container = Container(_text(each.name), _text(each.image), _text(each.image_digest), ids)
        room -= sum(map(len, (container.name, container.image, container.image_digest, *ids))) + TEXT_OVERHEAD_BYTES
        if room < 0:
            break
        kept.append(container)
    return tuple(kept)


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


def _fit(entries: Mapping[str, str], room: int) -> tuple[dict[str, str], list[str], int]:
    """The entries that fit as a whole, the names of those that do not, and the bytes left."""
    kept: dict[str, str] = {}
    dropped: list[str] = []
    for name, value in entries.items():
        size = len(name.encode()) + len(value.encode())
        if size <= room:
            # Pods of one workload have the same labels: interned, they share the memory.
            kept[intern(name)] = intern(value)
            room -= size
        else:
            dropped.append(name)
    return kept, dropped, room


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
