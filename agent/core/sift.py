"""Records → events: one synchronous pass over a chunk.

Each record is decoded as far as needed, given its pod, its id and its time, and put into its lane's
span, or settled by a rule. The message shipped is the bytes that Falco wrote plus two appended keys.
All that depends only on who raised the alert (lane, filter, counters) is decided once and looked up.
"""

from __future__ import annotations

import re
from collections.abc import Set
from fnmatch import translate
from typing import Final

import orjson

from agent.core.batch import LARGEST_MESSAGE_BYTES, Span
from agent.core.careful import CarefulPass
from agent.core.falco import SEVERITY, Alert, Clock, NotAnAlert, OutputFields, decode_alert
from agent.core.grammar import Grammar
from agent.core.lines import Records
from agent.core.sifted import HOST, FindFragment, Kind, Policy, Sifted
from agent.core.storm import Storm
from agent.core.values import Fragment, Lane, PodKey

MOST_KINDS: Final = 4096
"""Rules are named by Falco's configuration, not by what it observes: a few hundred in practice."""

HOST_ALONE: Final = OutputFields(container_id="host")
"""What an alert about no pod says."""

MOST_PLACES: Final = 4096


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

        The loop is the plain case of `CarefulPass.add`, spelled out: an alert that needs nothing special.
        """
        out = Sifted({lane: Span() for lane in Lane})
        careful = CarefulPass(self, out, file, grammar, now_ms, find)
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
