"""Records → events: one synchronous pass over a chunk.

Each record is decoded as far as needed, given its pod, its id and its time, and put into its lane's
span, or settled by a rule. The message shipped is the bytes that Falco wrote plus two appended keys.
All that depends only on who raised the alert (lane, filter, counters) is decided once and looked up.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Set
from dataclasses import dataclass, field
from fnmatch import translate
from typing import Any, Final

import orjson

from agent.core.batch import LARGEST_MESSAGE_BYTES, Span
from agent.core.falco import SEVERITY, Alert, Clock, NotAnAlert, OutputFields, decode_alert, decode_leniently
from agent.core.grammar import Grammar
from agent.core.lines import Mark, Records
from agent.core.shrink import shrink
from agent.core.storm import Fold, Storm
from agent.core.values import Fragment, Lane, PodKey

HOST: Final = Fragment(b"", b"", "host")
MOST_KINDS: Final = 4096
"""Rules are named by Falco's configuration, not by what it observes: a few hundred in practice."""

HOST_ALONE: Final = OutputFields(container_id="host")
"""What an alert about no pod says."""

MOST_PLACES: Final = 4096

FindFragment = Callable[[PodKey, int], Fragment | None]
"""The fragment for a pod at a time in milliseconds; None: not known yet, worth waiting for."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What is urgent, and what is settled without being shipped."""

    minimum_priority: str = "debug"
    urgent_priority: str = "critical"
    drop_rules: tuple[str, ...] = ()
    ship_other_lines: bool = True
    storm_limit: int = 0
    """Identical alerts a minute beyond which they fold; 0: they never do. Nor do urgent ones."""
    storm_keys: tuple[str, ...] = ()


class Kind:
    """Everything that depends only on priority, source and rule."""

    __slots__ = ("filtered", "folds", "is_plain", "lane", "priority", "rule", "seen", "source")

    def __init__(self, priority: str, source: str, rule: str, lane: Lane, filtered: str, folds: bool) -> None:
        self.priority = priority
        self.source = source
        self.rule = rule
        self.lane = lane
        self.filtered = filtered
        """Why its alerts are not shipped; empty: they are."""
        self.folds = folds
        """A storm of them folds."""
        self.is_plain = not filtered and not folds and source != "internal"
        """Its alerts need no more than their pod."""
        self.seen = 0
        """Alerts in the chunk at hand."""


@dataclass(frozen=True, slots=True)
class Oversized:
    """A record that ships shrunk; its bytes belong in the dead letters."""

    offset: int
    payload: bytes
    size: int
    """Its whole size in bytes, of which `payload` may be the head."""
    digest: str


@dataclass(slots=True)
class Sifted:
    """What became of a chunk's records."""

    spans: dict[Lane, Span]
    seen: list[tuple[Kind, int]] = field(default_factory=list)
    """How many alerts of each kind there were."""
    filtered: Counter[str] = field(default_factory=Counter)
    enriched: Counter[str] = field(default_factory=Counter)
    unknown: set[PodKey] = field(default_factory=set)
    """Pods worth waiting for. Not empty: nothing here counts, sift again when they are known."""
    notices: list[bytes] = field(default_factory=list)
    """Falco's messages about itself."""
    folded: dict[Fold, int] = field(default_factory=dict)
    """How many of the records each fold takes, to be held by it before anything else is awaited."""
    oversized: list[Oversized] = field(default_factory=list)


class Sieve:
    """Sifts chunks by one policy, for one node of one cluster."""

    def __init__(self, policy: Policy, *, node: str, cluster: str = "") -> None:
        self._policy = policy
        self._urgent = SEVERITY[policy.urgent_priority]
        self._minimum = SEVERITY[policy.minimum_priority]
        self._drop = [re.compile(translate(glob)) for glob in policy.drop_rules]
        self._kinds: dict[tuple[str, str, str], Kind] = {}
        self._places: dict[OutputFields, _Place] = {}
        self._chunk = 0
        self._clock = Clock()
        self.storm = Storm(policy.storm_limit, policy.storm_keys) if policy.storm_limit else None
        who = {"node": node} | ({"cluster": cluster} if cluster else {})
        self._closing = b'",' + orjson.dumps(who)[1:] + b"}"
        """How every message ends, after its id: `","node":…,"cluster":…}}`."""

    def sift(
        self,
        records: Records,
        *,
        file: str,
        grammar: Grammar,
        now_ms: int,
        find: FindFragment,
        settled: Set[int] = frozenset(),
    ) -> Sifted:
        """Sorts the records of one chunk of `file` into lanes. `settled` holds offsets that are done already.

        The loop is the plain case of `_Pass.add`, spelled out: an alert that needs nothing special.
        """
        out = Sifted({lane: Span() for lane in Lane})
        careful = _Pass(self, out, file, grammar, now_ms, find)
        kinds, clock = self._kinds, self._clock.milliseconds
        places, met = self._places, list[_Place]()
        self._chunk += 1
        opening, closing = f',"falcowatch":{{"id":"{file}:', self._closing.decode()
        spans = {lane: (span.timestamps.append, span.messages.append, span.sizes.append, span.offsets.append)
                 for lane, span in out.spans.items()}  # fmt: skip
        for payload, offset, line in zip(records.payloads, records.offsets, records.lines, strict=True):
            if settled and offset in settled:
                out.filtered["settled"] += 1
                continue
            try:
                alert = decode_alert(payload)
                time_ms = clock(alert.time)
            except (NotAnAlert, ValueError, RecursionError):
                careful.add(payload, offset, line)
                continue
            kind = kinds.get((alert.priority, alert.source, alert.rule))
            pod = alert.output_fields
            if kind is None or pod is None or not kind.is_plain or alert.falcowatch or alert.kubernetes:
                careful.add(payload, offset, line, alert=alert)
                continue
            place = places.get(pod)
            if place is None or place.chunk != self._chunk:
                # Alerts of one chunk come from few pods within moments, so each pod is looked up once.
                place = self._place(pod, find, time_ms)
                met.append(place)
            if place.fragment is None:
                out.unknown.add(place.key)
                continue
            try:
                text = payload.decode()
            except UnicodeDecodeError:
                careful.add(payload, offset, line, alert=alert)
                continue
            # Joined as text, since the encoder of the batch wants text: bytes would be copied once more.
            message = f"{text[:-1]}{place.enriched}{opening}{offset}{closing}"
            size = len(message) if message.isascii() else len(message.encode())
            if size > LARGEST_MESSAGE_BYTES or text[-1] != "}":
                careful.add(payload, offset, line, alert=alert)
                continue
            kind.seen += 1
            place.seen += 1
            add_time, add_message, add_size, add_offset = spans[kind.lane]
            add_time(time_ms)
            add_message(message)
            add_size(size)
            add_offset(offset)
        for odd in records.odd:
            if odd.mark.settled or (odd.mark.origin is None and odd.offset in settled):
                out.filtered["settled"] += 1
                continue
            careful.add(odd.payload, odd.offset, odd.line, mark=odd.mark)
        for place in met:
            if place.fragment is not None:
                out.enriched[place.fragment.result] += place.seen
        for kind in self._kinds.values():
            if kind.seen:
                out.seen.append((kind, kind.seen))
                kind.seen = 0
        if self.storm is not None and careful.draft is not None and not out.unknown:
            out.folded = self.storm.keep(careful.draft, now_ms)
        return out

    def kind(self, alert: Alert) -> Kind:
        """Who raised the alert, and what follows from it. Falco's messages about itself are always urgent."""
        key = (alert.priority, alert.source, alert.rule)
        kind = self._kinds.get(key)
        if kind is None:
            if len(self._kinds) >= MOST_KINDS:
                self._kinds.clear()
            severity = SEVERITY.get(alert.priority.lower(), self._minimum)
            internal = alert.source == "internal"
            lane = Lane.URGENT if internal or severity <= self._urgent else Lane.ROUTINE
            filtered = ""
            if not internal and severity > self._minimum:
                filtered = "priority"
            elif not internal and any(glob.match(alert.rule) for glob in self._drop):
                filtered = "rule"
            folds = self.storm is not None and lane is Lane.ROUTINE
            kind = self._kinds[key] = Kind(alert.priority, alert.source, alert.rule, lane, filtered, folds)
        return kind

    def _place(self, pod: OutputFields, find: FindFragment, time_ms: int) -> _Place:
        """The pod as it is known now, for the chunk at hand."""
        place = self._places.get(pod)
        if place is None:
            if len(self._places) >= MOST_PLACES:
                self._places.clear()
            place = self._places[pod] = _Place(pod.key())
        place.chunk, place.seen = self._chunk, 0
        fragment = HOST if pod == HOST_ALONE else find(place.key, time_ms)
        if fragment is not place.fragment:
            place.fragment = fragment
            place.enriched = "" if fragment is None else fragment.plain.decode()
        return place

    def clock(self, stamp: str) -> int | None:
        try:
            return self._clock.milliseconds(stamp)
        except ValueError:
            return None

    @property
    def closing(self) -> bytes:
        return self._closing

    @property
    def ships_other_lines(self) -> bool:
        return self._policy.ship_other_lines


class _Place:
    """A pod as alerts name it, and what is known of it in the chunk at hand."""

    __slots__ = ("chunk", "enriched", "fragment", "key", "seen")

    def __init__(self, key: PodKey) -> None:
        self.key = key
        self.chunk = 0
        """The last one in which it was met."""
        self.fragment: Fragment | None = None
        self.enriched = ""
        """The fragment as text."""
        self.seen = 0


class _Pass:
    """One chunk's pass, for records that need care: the whole rule of what becomes of a record."""

    def __init__(self, sieve: Sieve, out: Sifted, file: str, grammar: Grammar, now_ms: int, find: FindFragment) -> None:
        self._sieve = sieve
        self._out = out
        self._file = file
        self._grammar = grammar
        self._now_ms = now_ms
        self._find = find
        self.draft = sieve.storm.draft(file) if sieve.storm is not None else None

    def add(
        self, payload: bytes, offset: int, line: bytes, *, alert: Alert | None = None, mark: Mark | None = None
    ) -> None:
        """Puts one record where it belongs. `alert`: it is decoded already. `mark`: what is unusual about it."""
        if mark is not None and mark.size:
            self._oversized(payload, offset, line, mark)
            return
        if alert is None:
            try:
                alert = decode_leniently(payload)
            except (NotAnAlert, UnicodeDecodeError):
                self._other(payload, offset, line, mark)
                return
        kind = self._sieve.kind(alert)
        if kind.filtered:
            kind.seen += 1
            self._out.filtered[kind.filtered] += 1
            return
        time_ms = self._sieve.clock(alert.time)
        if time_ms is None:
            time_ms = self._stamp(line)
        if kind.folds and mark is None and self.draft is not None and self.draft.folds(alert, payload, time_ms, offset):
            kind.seen += 1
            return
        fragment = HOST
        pod = alert.output_fields
        of_a_pod = pod is not None and not (pod.container_id == "host" and pod.pod is None)
        if pod is not None and of_a_pod and kind.source != "internal":
            found = self._find(pod.key(), time_ms)
            if found is None:
                self._out.unknown.add(pod.key())
                return
            fragment = found
        kind.seen += 1
        self._out.enriched[fragment.result] += 1
        if kind.source == "internal":
            self._out.notices.append(payload)
        body = _valid(payload.rstrip())
        ours = b',"falcowatch":' + self._identity(offset, mark)
        theirs = fragment.plain
        if alert.kubernetes is not None:
            theirs = theirs.replace(b',"kubernetes":', b',"falcowatch_kubernetes":', 1)
        if alert.falcowatch is not None:
            ours = b',"falcowatch_":' + self._identity(offset, mark)
        message = body[:-1] + theirs + ours + b"}"
        if len(message) > LARGEST_MESSAGE_BYTES:
            if len(theirs) > LARGEST_MESSAGE_BYTES // 2:
                theirs = b""  # annotations that would leave no room for the alert
            small, digest = shrink(payload, LARGEST_MESSAGE_BYTES - len(theirs) - len(ours) - 1)
            self._out.oversized.append(Oversized(offset, payload, len(payload), digest))
            message = small[:-1] + theirs + ours + b"}"
        self._ship(kind.lane, time_ms, message, offset)

    def _other(self, payload: bytes, offset: int, line: bytes, mark: Mark | None) -> None:
        """A line that is no alert, wrapped: `{"log":…,"stream":…,"time":…,"falcowatch":{…}}`."""
        if not payload.strip():
            self._out.filtered["empty"] += 1
            return
        if not self._sieve.ships_other_lines:
            self._out.filtered["other_line"] += 1
            return
        stamp = self._grammar.stamp(line)
        entry = self._grammar.text(line)
        wrapped: dict[str, Any] = {"log": payload.decode(errors="replace"), "stream": entry[0] if entry else "unknown"}
        if stamp:
            wrapped["time"] = stamp
        tail = b',"falcowatch":' + self._identity(offset, mark) + b"}"
        message = orjson.dumps(wrapped)[:-1] + tail
        if len(message) > LARGEST_MESSAGE_BYTES:
            small, digest = shrink(orjson.dumps(wrapped), LARGEST_MESSAGE_BYTES - len(tail))
            self._out.oversized.append(Oversized(offset, payload, len(payload), digest))
            message = small[:-1] + tail
        self._ship(Lane.OTHER, self._stamp(line), message, offset)

    def _oversized(self, payload: bytes, offset: int, line: bytes, mark: Mark) -> None:
        """A record longer than is ever held: its head is shipped inside a valid event that says so."""
        self._out.oversized.append(Oversized(offset, payload, mark.size, mark.digest))
        tail = b',"falcowatch":' + self._identity(offset, mark) + b"}"
        small, _ = shrink(payload, LARGEST_MESSAGE_BYTES - len(tail), size=mark.size, digest=mark.digest)
        # Urgent: what it was can no longer be told, and an attacker may have wished for that.
        self._ship(Lane.URGENT, self._stamp(line), small[:-1] + tail, offset)

    def _identity(self, offset: int, mark: Mark | None) -> bytes:
        file, at = (self._file, offset) if mark is None or mark.origin is None else mark.origin
        incomplete = b',"incomplete":true' if mark is not None and mark.incomplete else b""
        return b'{"id":"%b:%d%b%b}' % (file.encode(), at, self._sieve.closing[:-2], incomplete)

    def _stamp(self, line: bytes) -> int:
        """When the runtime wrote the line, else now."""
        time_ms = self._sieve.clock(self._grammar.stamp(line))
        return self._now_ms if time_ms is None else time_ms

    def _ship(self, lane: Lane, time_ms: int, message: bytes, offset: int) -> None:
        self._out.spans[lane].append(max(0, time_ms), message.decode(), len(message), offset)


def _valid(text: bytes) -> bytes:
    """UTF-8: each byte that is none becomes U+FFFD, which takes three. CloudWatch counts what is sent."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return text.decode(errors="replace").encode()
    return text
