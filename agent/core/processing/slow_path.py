"""What becomes of one record, in full: every rule that the fast pass over a chunk takes for granted.

Alerts of every shape, lines that are none, records too big to ship whole. Slower and complete: whatever
`core.sift` finds unusual comes here, and for the usual both come to the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from agent.core.batching.limits import LARGEST_MESSAGE_BYTES
from agent.core.processing.alert import Alert, NotAnAlert, decode_leniently
from agent.core.processing.result import HOST, FindFragment, Oversized, ProcessingResult
from agent.core.processing.truncate import truncate
from agent.core.reading.line_formats import LineFormat
from agent.core.reading.records import Mark, Records, add_record
from agent.core.values import Lane

if TYPE_CHECKING:
    from agent.core.processing.processor import Processor


class SlowPath:
    """One chunk's pass, record by record."""

    def __init__(
        self,
        processor: Processor,
        out: ProcessingResult,
        file: str,
        line_format: LineFormat,
        now_ms: int,
        find: FindFragment,
        deduplicate: bool,
    ) -> None:
        self._processor = processor
        self._out = out
        self._file = file
        self._grammar = line_format
        self._now_ms = now_ms
        self._find = find
        self.draft = processor.storm.draft(file) if processor.storm is not None and deduplicate else None

    def add(
        self, payload: bytes, offset: int, line: bytes, *, alert: Alert | None = None, mark: Mark | None = None
    ) -> None:
        """Puts one record where it belongs. `alert`: it is decoded already. `mark`: what is unusual about it."""
        line = line.removesuffix(b"\n")
        if mark is not None and mark.size:
            self._oversized(payload, offset, line, mark)
            return
        if alert is None:
            try:
                alert = decode_leniently(payload)
            except (NotAnAlert, UnicodeDecodeError):
                self._other(payload, offset, line, mark)
                return
        kind = self._processor.kind(alert)
        self._processor.cases.learn(alert, kind)
        if kind.filtered:
            kind.seen += 1
            self._out.filtered[kind.filtered] += 1
            return
        time_ms = self._processor.clock.moment(alert.time)
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
                add_record(self._out.unknown.setdefault(pod.key(), Records()), payload, offset, line, mark)
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
            small, digest = truncate(payload, LARGEST_MESSAGE_BYTES - len(theirs) - len(ours) - 1)
            self._out.oversized.append(Oversized(offset, payload, len(payload), digest))
            message = small[:-1] + theirs + ours + b"}"
        self._ship(kind.lane, time_ms, message, offset)

    def _other(self, payload: bytes, offset: int, line: bytes, mark: Mark | None) -> None:
        """A line that is no alert, wrapped: `{"log":…,"stream":…,"time":…,"falcowatch":{…}}`."""
        if not payload.strip():
            self._out.filtered["empty"] += 1
            return
        if not self._processor.ships_other_lines:
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
            small, digest = truncate(orjson.dumps(wrapped), LARGEST_MESSAGE_BYTES - len(tail))
            self._out.oversized.append(Oversized(offset, payload, len(payload), digest))
            message = small[:-1] + tail
        self._ship(Lane.OTHER, self._stamp(line), message, offset)

    def _oversized(self, payload: bytes, offset: int, line: bytes, mark: Mark) -> None:
        """A record longer than is ever held: its head is shipped inside a valid event that says so."""
        self._out.oversized.append(Oversized(offset, payload, mark.size, mark.digest))
        tail = b',"falcowatch":' + self._identity(offset, mark) + b"}"
        small, _ = truncate(payload, LARGEST_MESSAGE_BYTES - len(tail), size=mark.size, digest=mark.digest)
        # Urgent: what it was can no longer be told, and an attacker may have wished for that.
        self._ship(Lane.URGENT, self._stamp(line), small[:-1] + tail, offset)

    def _identity(self, offset: int, mark: Mark | None) -> bytes:
        file, at = (self._file, offset) if mark is None or mark.origin is None else mark.origin
        incomplete = b',"incomplete":true' if mark is not None and mark.incomplete else b""
        return b'{"id":"%b:%d%b%b}' % (file.encode(), at, self._processor.closing[:-2], incomplete)

    def _stamp(self, line: bytes) -> int:
        """When the runtime wrote the line, else now."""
        time_ms = self._processor.clock.moment(self._grammar.stamp(line))
        return self._now_ms if time_ms is None else time_ms

    def _ship(self, lane: Lane, time_ms: int, message: bytes, offset: int) -> None:
        self._out.spans[lane].append(max(0, time_ms), message, offset)


def _valid(text: bytes) -> bytes:
    """UTF-8: each byte that is none becomes U+FFFD, which takes three. CloudWatch counts what is sent."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return text.decode(errors="replace").encode()
    return text
