"""Reads the answers of the API server: a list, an event of a watch, or an error. Pure.

The type of an error says what to do next. An error arrives as an HTTP status, as an ERROR event inside a watch that
began with 200, or as HTML from a load balancer; so the status decides, and the body only adds text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec
from msgspec import Struct

from agent.enrich.list_stream import ListObjects
from agent.enrich.pod import Pod, Selection, decode_pod
from agent.errors import KubernetesError

INITIAL_EVENTS_END = "k8s.io/initial-events-end"
"""Annotation of the bookmark behind the last initial event of a watch."""

LONGEST_VERSION_CHARS = 128
LONGEST_TOKEN_CHARS = 8192
"""Bounds on the texts that the agent sends back. A version is a number of at most 20 digits."""

UNREADABLE = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)
"""Exceptions of the decoder. RecursionError: the JSON is nested more than about a thousand deep."""


PROXY_REMEDY = "name the API server's address or CIDR in NO_PROXY, or allow it in the proxy"


class Stale(KubernetesError):
    """The version to continue from is too old or unknown: list again."""


class Forbidden(KubernetesError):
    """The service account lacks rights: an administrator must grant them."""


class Unauthorized(KubernetesError):
    """The token is missing or expired: read it again."""


class Page(Struct, frozen=True):
    """The end of one page of a list."""

    version: str
    """The version of the whole list."""
    continue_token: str
    """Names the next page; empty on the last page."""


class Event(Struct, frozen=True):
    """A change of a pod, or a bookmark, which only advances the version."""

    kind: Literal["put", "delete", "bookmark"]
    version: str
    pod: Pod | None
    initial_events_end: bool = False
    """Whether this is the bookmark behind the last of the initial events."""


class _ListMetadata(msgspec.Struct, gc=False, rename="camel"):
    resource_version: str = ""
    continue_token: str = msgspec.field(name="continue", default="")


class _List(msgspec.Struct, gc=False):
    metadata: _ListMetadata = msgspec.field(default_factory=_ListMetadata)
    items: list[msgspec.Raw] | None = None


class _Event(msgspec.Struct, gc=False):
    type: str
    object: msgspec.Raw


class _ObjectMetadata(msgspec.Struct, gc=False, rename="camel"):
    resource_version: str = ""


class _Versioned(msgspec.Struct, gc=False):
    metadata: _ObjectMetadata = msgspec.field(default_factory=_ObjectMetadata)


class _BookmarkMetadata(msgspec.Struct, gc=False):
    annotations: dict[str, str] | None = None


class _Bookmark(msgspec.Struct, gc=False):
    metadata: _BookmarkMetadata = msgspec.field(default_factory=_BookmarkMetadata)


class _Status(msgspec.Struct, gc=False):
    message: str = ""
    reason: str = ""
    code: int = 0
    kind: str = ""


_decode_list = msgspec.json.Decoder(_List).decode
_decode_event = msgspec.json.Decoder(_Event).decode
_decode_bookmark = msgspec.json.Decoder(_Bookmark).decode
_decode_versioned = msgspec.json.Decoder(_Versioned).decode
_decode_status = msgspec.json.Decoder(_Status).decode

_KINDS: dict[str, Literal["put", "delete"]] = {"ADDED": "put", "MODIFIED": "put", "DELETED": "delete"}


class PodListReader:
    """Decodes the pods of one page of a list while it arrives."""

    def __init__(self, selection: Selection) -> None:
        self._objects = ListObjects()
        self._selection = selection
        self._undecodable = 0

    @property
    def unreadable(self) -> int:
        """Pods that were skipped because they could not be decoded or are too long."""
        return self._undecodable + self._objects.oversized

    def feed(self, data: bytes) -> Iterator[Pod]:
        """The pods that end in this piece. Raises KubernetesError when the answer cannot be a list of pods."""
        for item in self._objects.feed(data):
            try:
                yield decode_pod(item, self._selection)
            except UNREADABLE:
                self._undecodable += 1

    def end(self) -> Page:
        """Call it after the last piece. Raises KubernetesError for an answer that is not a complete list of pods."""
        envelope = self._objects.envelope()
        try:
            found = _decode_list(envelope)
        except UNREADABLE as error:
            raise KubernetesError(f"expected a list of pods, found {_excerpt(envelope)}") from error
        if found.items is None and not found.metadata.resource_version:
            raise KubernetesError(f"expected a list of pods, found {_excerpt(envelope)}")
        if len(found.metadata.continue_token) > LONGEST_TOKEN_CHARS:
            raise KubernetesError(f"the list has a continue token of over {LONGEST_TOKEN_CHARS} characters")
        return Page(_checked(found.metadata.resource_version), found.metadata.continue_token)


def read_event(line: bytes | bytearray, selection: Selection) -> Event | None:
    """Decodes one line of a watch. None: an event of an unknown type. A pod that cannot be decoded is a bookmark.

    Raises Stale for an ERROR event and for a line that is not an event: a watch from the same version would only
    bring the same line again.
    """
    try:
        found = _decode_event(line)
        if found.type == "ERROR":
            status = _decode_status(found.object)
            reason = f"{status.code} {status.reason[:80]}: {status.message[:200]}"
            raise Stale(f"the watch ended with {reason}; listing again")
        version = _checked(_decode_versioned(found.object).metadata.resource_version)
    except UNREADABLE as error:
        raise Stale(f"the watch sent {_excerpt(line)}; expected an event; listing again") from error
    if found.type == "BOOKMARK":
        return Event("bookmark", version, None, _ends_initial_events(found.object))
    if found.type not in _KINDS:
        return None
    try:
        return Event(_KINDS[found.type], version, decode_pod(found.object, selection))
    except UNREADABLE:
        return Event("bookmark", version, None)


def _checked(version: str) -> str:
    if len(version) > LONGEST_VERSION_CHARS:
        raise Stale(f"the API server sent a version of {len(version)} characters; listing again")
    return version


def _ends_initial_events(bookmark: msgspec.Raw) -> bool:
    try:
        return (_decode_bookmark(bookmark).metadata.annotations or {}).get(INITIAL_EVENTS_END) == "true"
    except UNREADABLE:
        return False


def _is_status(body: bytes) -> bool:
    """Whether this is a Status, which the API server sends with every refusal, and no proxy does."""
    try:
        return _decode_status(body).kind == "Status"
    except UNREADABLE:
        return False


def refusal(status: int, body: bytes, url: str) -> KubernetesError:
    """The error for an answer other than 200. Its type says what to do next."""
    try:
        reason = _decode_status(body).message[:300] or _excerpt(body)
    except UNREADABLE:
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
    if status in (400, 410, 422):
        # 410: the version is too old. 400: the version is not from this server, as after a restore of etcd.
        # 422: the server does not know a parameter of the request.
        return Stale(f"{text}; listing again")
    return KubernetesError(text)


def _excerpt(body: bytes | bytearray) -> str:
    return repr(body[:80].decode("utf-8", "replace"))
