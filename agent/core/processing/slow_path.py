"""The slow path: every rule, applied to one record at a time.

Alerts of every shape, lines that are not alerts, and records that are too big to ship whole come here. For records
that the fast path takes, the slow path has the same result.
"""

from __future__ import annotations

import orjson

from agent.core.batching.limits import LARGEST_MESSAGE_BYTES
from agent.core.processing.alert import Alert, NotAnAlert, decode_leniently
from agent.core.processing.context import ChunkContext, ProcessorContext
from agent.core.processing.dedup import Draft
from agent.core.processing.kinds import Kind
from agent.core.processing.result import HOST, Oversized, ProcessingResult
from agent.core.processing.truncate import truncate
from agent.core.reading.records import Mark
from agent.core.values import Fragment, Lane


class SlowPath:
    """Processes one chunk, record by record."""

    def __init__(
        self, processor: ProcessorContext, chunk: ChunkContext, result: ProcessingResult, draft: Draft | None
    ) -> None:
        self._processor = processor
        self._chunk = chunk
        self._result = result
        self._draft = draft

    def add(
        self, payload: bytes, offset: int, line: bytes, *, alert: Alert | None = None, mark: Mark | None = None
    ) -> None:
        """Processes one record. `alert` is the payload if it was decoded before. `mark` says what is unusual."""
        line = line.removesuffix(b"\n")
        if mark is not None and mark.size:
            self._add_overlong(payload, offset, line, mark)
            return
        if alert is None:
            try:
                alert = decode_leniently(payload)
            except (NotAnAlert, UnicodeDecodeError):
                self._add_other(payload, offset, line, mark)
                return
        self._add_alert(alert, payload, offset, line, mark)

    def _add_alert(self, alert: Alert, payload: bytes, offset: int, line: bytes, mark: Mark | None) -> None:
        kind = self._processor.kinds.of(alert)
        self._processor.cases.learn(alert, kind)
        if kind.filtered:
            self._result.seen[kind] += 1
            self._result.filtered[kind.filtered] += 1
            return
        time_ms = self._processor.timestamps.parse(alert.time)
        if time_ms is None:
            time_ms = self._stamp(line)
        if (
            kind.deduplicated
            and mark is None
            and self._draft is not None
            and self._draft.takes(alert, payload, time_ms, offset)
        ):
            self._result.seen[kind] += 1
            return
        fragment = self._fragment(alert, kind, time_ms)
        if fragment is None:
            return
        self._result.seen[kind] += 1
        self._result.enriched[fragment.result] += 1
        if kind.source == "internal":
            self._result.notices.append(payload)
        self._ship(kind.lane, time_ms, self._message(alert, payload, offset, mark, fragment), offset)

    def _fragment(self, alert: Alert, kind: Kind, time_ms: int) -> Fragment | None:
        """None: the pod is not known yet."""
        fields = alert.output_fields
        is_host = fields is None or (fields.container_id == "host" and fields.pod is None)
        if fields is None or is_host or kind.source == "internal":
            return HOST
        fragment = self._chunk.find(fields.key(), time_ms)
        if fragment is None:
            self._result.unknown.add(fields.key())
        return fragment

    def _message(self, alert: Alert, payload: bytes, offset: int, mark: Mark | None, fragment: Fragment) -> bytes:
        """The alert's bytes, with the pod and the agent's object appended. If it is too big, a smaller event."""
        body = _as_utf8(payload.rstrip())
        ours = b',"falcowatch":' + self._identity(offset, mark)
        pod = fragment.plain
        if alert.kubernetes is not None:
            pod = pod.replace(b',"kubernetes":', b',"falcowatch_kubernetes":', 1)
        if alert.falcowatch is not None:
            ours = b',"falcowatch_":' + self._identity(offset, mark)
        message = body[:-1] + pod + ours + b"}"
        if len(message) > LARGEST_MESSAGE_BYTES:
            if len(pod) > LARGEST_MESSAGE_BYTES // 2:
                pod = b""  # annotations that would leave no room for the alert
            small, digest = truncate(payload, LARGEST_MESSAGE_BYTES - len(pod) - len(ours) - 1)
            self._result.oversized.append(Oversized(offset, payload, len(payload), digest))
            message = small[:-1] + pod + ours + b"}"
        return message

    def _add_other(self, payload: bytes, offset: int, line: bytes, mark: Mark | None) -> None:
        """Wraps a line that is not an alert: `{"log":…,"stream":…,"time":…,"falcowatch":{…}}`."""
        if not payload.strip():
            self._result.filtered["empty"] += 1
            return
        if not self._processor.ships_other_lines:
            self._result.filtered["other_line"] += 1
            return
        stamp = self._chunk.line_format.stamp(line)
        entry = self._chunk.line_format.text(line)
        wrapped = {"log": payload.decode(errors="replace"), "stream": entry[0] if entry else "unknown"}
        if stamp:
            wrapped["time"] = stamp
        tail = b',"falcowatch":' + self._identity(offset, mark) + b"}"
        message = orjson.dumps(wrapped)[:-1] + tail
        if len(message) > LARGEST_MESSAGE_BYTES:
            small, digest = truncate(orjson.dumps(wrapped), LARGEST_MESSAGE_BYTES - len(tail))
            self._result.oversized.append(Oversized(offset, payload, len(payload), digest))
            message = small[:-1] + tail
        self._ship(Lane.OTHER, self._stamp(line), message, offset)

    def _add_overlong(self, payload: bytes, offset: int, line: bytes, mark: Mark) -> None:
        """Ships the head of a record that was too long to keep, inside a valid event that says so."""
        self._result.oversized.append(Oversized(offset, payload, mark.size, mark.digest))
        tail = b',"falcowatch":' + self._identity(offset, mark) + b"}"
        small, _ = truncate(payload, LARGEST_MESSAGE_BYTES - len(tail), size=mark.size, digest=mark.digest)
        # Urgent, because the record may have been an urgent alert. An attacker may have made it too long on purpose.
        self._ship(Lane.URGENT, self._stamp(line), small[:-1] + tail, offset)

    def _identity(self, offset: int, mark: Mark | None) -> bytes:
        """The value of the `falcowatch` key."""
        file, at = (self._chunk.file, offset) if mark is None or mark.origin is None else mark.origin
        incomplete = b',"incomplete":true' if mark is not None and mark.incomplete else b""
        return b'{"id":"%b:%d%b%b}' % (file.encode(), at, self._processor.ending.plain[:-2], incomplete)

    def _stamp(self, line: bytes) -> int:
        """When the runtime wrote the line, or now if the line does not say."""
        time_ms = self._processor.timestamps.parse(self._chunk.line_format.stamp(line))
        return self._chunk.now_ms if time_ms is None else time_ms

    def _ship(self, lane: Lane, time_ms: int, message: bytes, offset: int) -> None:
        self._result.spans[lane].append(max(0, time_ms), message, offset)


def _as_utf8(text: bytes) -> bytes:
    """Replaces each byte that is not UTF-8 by U+FFFD, which has three bytes. CloudWatch counts the bytes it is sent."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return text.decode(errors="replace").encode()
    return text
