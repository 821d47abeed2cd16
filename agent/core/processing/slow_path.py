"""The slow path: every rule, applied to one record at a time.

Alerts of every shape, lines that are not alerts, and records that are too big to ship whole come here. For records
that the fast path takes, the slow path has the same result. Each record becomes one event at most, so the ledger can
count records.
"""

from __future__ import annotations

from hashlib import sha256
from typing import cast

import orjson

from agent.core.batching.limits import EVENT_OVERHEAD_BYTES, LARGEST_MESSAGE_BYTES
from agent.core.processing.alert import Alert, NotAnAlert, OutputFields, decode_leniently
from agent.core.processing.context import ChunkContext, ProcessorContext
from agent.core.processing.dedup import Draft
from agent.core.processing.event_time import EventTime, event_time
from agent.core.processing.kinds import Kind
from agent.core.processing.line_priority import TextAlert, stated_priority, text_alert
from agent.core.processing.reserved import reserved_in
from agent.core.processing.result import HOST, Defect, Oversized, ProcessingResult
from agent.core.processing.truncate import truncate
from agent.core.proof import canonical
from agent.core.reading.line_formats import read_line, stamp_of
from agent.core.reading.records import USUAL, Mark, Records, add_record
from agent.core.values import Fragment, Lane

DEFECT_BYTES = 128 * 1024
"""How much of a record with a defect ships. JSON may escape a byte with six, and the event must be within the limit."""


class SlowPath:
    """Processes one chunk, record by record."""

    def __init__(
        self, processor: ProcessorContext, chunk: ChunkContext, result: ProcessingResult, draft: Draft | None
    ) -> None:
        self._processor = processor
        self._chunk = chunk
        self._result = result
        self._draft = draft

    def add(self, payload: bytes, offset: int, line: bytes, *, alert: Alert | None = None, mark: Mark = USUAL) -> None:
        """Processes one record. `alert` is the payload if the strict decoder accepted it. `mark`: what is unusual."""
        line = line.rstrip(b"\n\0")
        if mark.defect is not None:
            self.add_defect(payload, offset, mark.defect, mark)
            return
        if mark.size:
            self._add_overlong(payload, offset, line, mark)
            return
        is_strict = alert is not None
        if alert is None:
            try:
                alert = decode_leniently(payload)
            except (NotAnAlert, UnicodeDecodeError):
                self._add_other(payload, offset, line, mark)
                return
        kind = self._processor.kinds.of(alert)
        if (kind.reserved or not is_strict) and (reserved := reserved_in(payload)):
            self._wrap(kind.lane, self._runtime_time(line), payload, offset, line, mark, {}, {"forged": reserved})
            return
        self._add_alert(alert, kind, payload, offset, line, mark)

    def add_defect(self, payload: bytes, offset: int, error: Exception, mark: Mark) -> None:
        """Ships the head of a record that met an unforeseen exception. It calls nothing that may raise again."""
        self._result.defects.append(Defect(offset, payload, error))
        text = canonical.text(payload)
        wrapped = {"log": payload[:DEFECT_BYTES].decode(errors="replace"), "size": mark.size or len(text)}
        notes = {"defect": type(error).__name__}
        if mark.size or len(text) > canonical.LONGEST_TEXT_BYTES:
            notes["sha256"] = mark.digest or sha256(text).hexdigest()
        tail = self._tail(offset, mark, notes)
        # Urgent, because the record may have been an urgent alert. An attacker may have caused the exception.
        self._ship(Lane.URGENT, self._chunk.now_ms, orjson.dumps(wrapped)[:-1] + tail, offset)

    def _add_alert(self, alert: Alert, kind: Kind, payload: bytes, offset: int, line: bytes, mark: Mark) -> None:
        self._processor.cases.learn(alert, kind)
        if kind.filtered:
            self._result.seen[kind] += 1
            self._filter(kind.filtered, offset, mark)
            return
        time = self._time(alert.time, line)
        if (
            kind.deduplicated
            and mark is USUAL
            and self._draft is not None
            and self._draft.takes(alert, payload, time.time_ms, offset)
        ):
            self._result.seen[kind] += 1
            self._result.unshipped.add(offset)
            return
        fragment = self._fragment(alert, kind, time.time_ms)
        if fragment is None:
            self._wait(alert, payload, offset, line, mark)
            return
        tail = self._tail(offset, mark, {"time": time.note} if time.note else {})
        message = self._message(payload, offset, fragment.plain, tail)
        self._result.seen[kind] += 1
        self._result.billed_bytes[kind] += len(message) + EVENT_OVERHEAD_BYTES
        self._result.enriched[fragment.result] += 1
        if kind.source == "internal":
            self._result.notices.append(payload)
        self._ship(kind.lane, time.time_ms, message, offset)

    def _fragment(self, alert: Alert, kind: Kind, time_ms: int) -> Fragment | None:
        """None: the pod is not known yet, and is worth waiting for."""
        fields = alert.output_fields
        is_host = fields is None or (fields.container_id == "host" and fields.pod is None)
        if fields is None or is_host or kind.source == "internal":
            return HOST
        return self._chunk.find(fields.key(), time_ms)

    def _wait(self, alert: Alert, payload: bytes, offset: int, line: bytes, mark: Mark) -> None:
        """Leaves the record out of this result: it is processed again when its pod is known, or late."""
        fields = cast(OutputFields, alert.output_fields)  # an alert without them never waits
        waiting = self._result.unknown.setdefault(fields.key(), Records())
        add_record(waiting, payload, offset, line, mark)

    def _message(self, payload: bytes, offset: int, pod: bytes, tail: bytes) -> bytes:
        """The alert's bytes, with the pod and the agent's object appended. If it is too big, a smaller event."""
        text = canonical.text(payload)
        message = text[:-1] + pod + tail
        if len(message) > LARGEST_MESSAGE_BYTES and len(pod) > LARGEST_MESSAGE_BYTES // 2:
            pod = b""  # annotations that would leave no room for the alert
            message = text[:-1] + tail
        if len(message) > LARGEST_MESSAGE_BYTES:
            small, digest = truncate(payload, LARGEST_MESSAGE_BYTES - len(pod) - len(tail))
            self._result.oversized.append(Oversized(offset, payload, len(payload), digest))
            message = small[:-1] + pod + tail
        return message

    def _add_other(self, payload: bytes, offset: int, line: bytes, mark: Mark) -> None:
        """A line that is not an alert in JSON. If it comes from an alert, the alert's priority decides the lane."""
        if not payload.strip():
            self._filter("empty", offset, mark)
            return
        text = text_alert(payload)
        if text is not None:
            self._add_text_alert(text, payload, offset, line, mark)
            return
        time, priority = self._runtime_time(line), stated_priority(payload)
        if priority is not None:
            self._wrap(self._processor.kinds.lane(priority), time, payload, offset, line, mark, {"priority": priority})
        elif self._processor.ships_other_lines:
            self._wrap(Lane.OTHER, time, payload, offset, line, mark)
        else:
            self._filter("other_line", offset, mark)

    def _add_text_alert(self, text: TextAlert, payload: bytes, offset: int, line: bytes, mark: Mark) -> None:
        """An alert that Falco printed as text. It has no rule and no pod, but a priority."""
        self._result.text_alerts += 1
        if self._processor.kinds.is_filtered(text.priority):
            self._filter("priority", offset, mark)
            return
        time = self._time(text.time, line) if text.time else self._runtime_time(line)
        fields = {"priority": text.priority.capitalize(), "output": payload.decode(errors="replace")}
        if text.time:
            fields["time"] = text.time
        self._wrap(self._processor.kinds.lane(text.priority), time, payload, offset, line, mark, fields)

    def _filter(self, reason: str, offset: int, mark: Mark) -> None:
        """A rule of the configuration settles the record."""
        self._result.filtered[reason] += 1
        self._result.unshipped.add(offset if mark.origin is None else mark.origin)

    def _wrap(
        self,
        lane: Lane,
        time: EventTime,
        payload: bytes,
        offset: int,
        line: bytes,
        mark: Mark,
        fields: dict[str, str] | None = None,
        notes: dict[str, object] | None = None,
    ) -> None:
        """Ships `{"log":…,"stream":…,"time":…,"falcowatch":{…}}`. `fields` are added to it, `notes` to `falcowatch`."""
        line_format, entry = read_line(line, self._chunk.line_format)
        wrapped = {"log": payload.decode(errors="replace"), "stream": entry[0] if entry else "unknown"}
        if stamp := line_format.stamp(line):
            wrapped["time"] = stamp
        wrapped |= fields or {}
        tail = self._tail(offset, mark, (notes or {}) | ({"time": time.note} if time.note else {}))
        message = orjson.dumps(wrapped)[:-1] + tail
        if len(message) > LARGEST_MESSAGE_BYTES:
            # The wrapped form is kept, so a replay cannot ship a forged alert as an alert.
            whole = orjson.dumps(wrapped)
            digest = canonical.digest_of(payload)
            small, _ = truncate(whole, LARGEST_MESSAGE_BYTES - len(tail), digest=digest)
            self._result.oversized.append(Oversized(offset, whole, len(whole), digest))
            message = small[:-1] + tail
        self._ship(lane, time.time_ms, message, offset)

    def _add_overlong(self, payload: bytes, offset: int, line: bytes, mark: Mark) -> None:
        """Ships the head of a record that was too long to keep, inside a valid event that says so."""
        self._result.oversized.append(Oversized(offset, payload, mark.size, mark.digest))
        time = self._runtime_time(line)
        tail = self._tail(offset, mark, {"time": time.note} if time.note else {})
        small, _ = truncate(payload, LARGEST_MESSAGE_BYTES - len(tail), size=mark.size, digest=mark.digest)
        # Urgent, because the record may have been an urgent alert. An attacker may have made it too long on purpose.
        self._ship(Lane.URGENT, time.time_ms, small[:-1] + tail, offset)

    def _tail(self, offset: int, mark: Mark, notes: dict[str, object] | dict[str, str]) -> bytes:
        """The end of a message: `,"falcowatch":{"id":…,"node":…}}`, with what is unusual about the record."""
        file, at = (self._chunk.file, offset) if mark.origin is None else mark.origin
        more = b',"incomplete":true' if mark.incomplete else b""
        if notes:
            more += b"," + orjson.dumps(notes)[1:-1]
        return b',"falcowatch":{"id":"%b:%d%b%b}}' % (file.encode(), at, self._processor.ending.plain[:-2], more)

    def _time(self, stated: str, line: bytes) -> EventTime:
        """The time of an alert that states this time."""
        parse, now_ms = self._processor.timestamps.parse, self._chunk.now_ms
        time = event_time(parse(stated), parse(stamp_of(line, self._chunk.line_format)), now_ms)
        return self._processor.window.adjusted(time, now_ms)

    def _runtime_time(self, line: bytes) -> EventTime:
        """When the runtime wrote the line, or now if the line does not say."""
        now_ms = self._chunk.now_ms
        stamp_ms = self._processor.timestamps.parse(stamp_of(line, self._chunk.line_format))
        return self._processor.window.adjusted(EventTime(now_ms if stamp_ms is None else stamp_ms), now_ms)

    def _ship(self, lane: Lane, time_ms: int, message: bytes, offset: int) -> None:
        self._result.spans[lane].append(max(0, time_ms), message, offset)
