"""Reads the answers of the API server: a list, an event of a watch, or an error. Pure.

The type of an error says what to do next. An error arrives as an HTTP status, as an ERROR event inside a watch that
began with 200, or as HTML from a load balancer; so the status decides, and the body only adds text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

from agent.enrich.pod import Pod, Selection, decode_pod
from agent.errors import KubernetesError

LARGEST_EVENT_BYTES = 16 * 1024 * 1024
"""Longest event of a watch. etcd accepts objects up to 1.5 MiB by default; their JSON can be several times larger."""


PROXY_REMEDY = "name the API server's address or CIDR in NO_PROXY, or allow it in the proxy"


class Stale(KubernetesError):
    """The version to continue from is too old or unknown: list again."""


class Forbidden(KubernetesError):
    """The service account lacks rights: an administrator must grant them."""


class Unauthorized(KubernetesError):
    """The token is missing or expired: read it again."""


@dataclass(frozen=True, slots=True)
class PodList:
    """Every pod at one version. Pods that could not be decoded are only counted, in `unreadable`."""

    pods: list[Pod]
    version: str
    unreadable: int


@dataclass(frozen=True, slots=True)
class Event:
    """A change of a pod, or a bookmark, which only advances the version."""

    kind: Literal["put", "delete", "bookmark"]
    version: str
    pod: Pod | None


class _ListMetadata(msgspec.Struct, gc=False, rename="camel"):
    resource_version: str = ""


class _List(msgspec.Struct, gc=False):
    metadata: _ListMetadata = msgspec.field(default_factory=_ListMetadata)
    items: list[msgspec.Raw] | None = None


class _Event(msgspec.Struct, gc=False):
    type: str
    object: msgspec.Raw


class _Versioned(msgspec.Struct, gc=False):
    metadata: _ListMetadata = msgspec.field(default_factory=_ListMetadata)


class _Status(msgspec.Struct, gc=False):
    message: str = ""
    reason: str = ""
    code: int = 0
    kind: str = ""


_decode_list = msgspec.json.Decoder(_List).decode
_decode_event = msgspec.json.Decoder(_Event).decode
_decode_versioned = msgspec.json.Decoder(_Versioned).decode
_decode_status = msgspec.json.Decoder(_Status).decode

_KINDS: dict[str, Literal["put", "delete"]] = {"ADDED": "put", "MODIFIED": "put", "DELETED": "delete"}


def read_list(body: bytes, selection: Selection) -> PodList:
    """Raises KubernetesError for a body that is not a list of pods, such as the error page of a load balancer."""
    try:
        found = _decode_list(body)
    except msgspec.MsgspecError as error:
        raise KubernetesError(f"expected a list of pods, found {_excerpt(body)}") from error
    if found.items is None and not found.metadata.resource_version:
        raise KubernetesError(f"expected a list of pods, found {_excerpt(body)}")
    pods, unreadable = [], 0
    for item in found.items or ():
        try:
            pods.append(decode_pod(item, selection))
        except msgspec.MsgspecError:
            unreadable += 1
    return PodList(pods, found.metadata.resource_version, unreadable)


def read_event(line: bytes, selection: Selection) -> Event | None:
    """Decodes one line of a watch. None: an event of an unknown type. A pod that cannot be decoded is a bookmark.

    Raises Stale for an ERROR event and for a line that is not an event: a watch from the same version would only
    bring the same line again.
    """
    try:
        found = _decode_event(line)
        if found.type == "ERROR":
            status = _decode_status(found.object)
            raise Stale(f"the watch ended with {status.code} {status.reason}: {status.message[:200]}; listing again")
        version = _decode_versioned(found.object).metadata.resource_version
    except msgspec.MsgspecError as error:
        raise Stale(f"the watch sent {_excerpt(line)}; expected an event; listing again") from error
    if found.type == "BOOKMARK":
        return Event("bookmark", version, None)
    if found.type not in _KINDS:
        return None
    try:
        return Event(_KINDS[found.type], version, decode_pod(found.object, selection))
    except msgspec.MsgspecError:
        return Event("bookmark", version, None)


def _is_status(body: bytes) -> bool:
    """Whether this is a Status, which the API server sends with every refusal, and no proxy does."""
    try:
        return _decode_status(body).kind == "Status"
    except msgspec.MsgspecError:
        return False


def refusal(status: int, body: bytes, url: str) -> KubernetesError:
    """The error for an answer other than 200. Its type says what to do next."""
    try:
        reason = _decode_status(body).message[:300] or _excerpt(body)
    except msgspec.MsgspecError:
        reason = _excerpt(body)
    text = f"{url} answered {status}: {reason}"
    if status == 407 or (status in (401, 403) and not _is_status(body)):
        # Reading the token again or granting a right would not help; waiting as long as for such an error is right.
        kinds: dict[int, type[KubernetesError]] = {401: Unauthorized, 403: Forbidden}
        kind = kinds.get(status, KubernetesError)
        return kind(f"{text}, which is not an answer of the API server but of a proxy; {PROXY_REMEDY}")
    if status == 401:
        return Unauthorized(f"{text}; reading the token again")
    if status == 403:
        return Forbidden(f"{text}; grant this service account `list` and `watch` on pods, or set enrich.mode to none")
    if status in (400, 410):
        # 410: the version is too old. 400: the version is not from this server, as after a restore of etcd.
        return Stale(f"{text}; listing again")
    return KubernetesError(text)


class Lines:
    """Cuts a stream of bytes, which arrives in pieces of any size, into lines."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._held_bytes = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are complete now. Raises KubernetesError for a line over LARGEST_EVENT_BYTES."""
        first, newline, rest = data.partition(b"\n")
        self._pieces.append(first)
        self._held_bytes += len(first)
        if self._held_bytes > LARGEST_EVENT_BYTES:
            raise KubernetesError(f"the watch sent a line of over {LARGEST_EVENT_BYTES} bytes; expected an event")
        if not newline:
            return []
        *lines, last = rest.split(b"\n")
        lines.insert(0, b"".join(self._pieces))
        self._pieces, self._held_bytes = [last], len(last)
        return [line for line in lines if line.strip()]


def _excerpt(body: bytes) -> str:
    return repr(body[:80].decode("utf-8", "replace"))
