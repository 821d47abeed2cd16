"""A CloudWatch Logs endpoint that only counts: `python -m benchmarks.sink`, a separate process.

It must never be the bottleneck of a measurement, so every request gets a constant response, and bodies are counted
without copying or parsing (compressed bodies are inflated). It can throttle puts above a rate, as an account's quota
does, note each alert's latency, and note which alerts arrived. Its first line of output is its address; it answers each
command on its input (`report`, `times`, `open`, `close`) with one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import re
import ssl
import sys
import time
from array import array
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import orjson
from isal import isal_zlib

_BUFFER_BYTES: Final = 4 * 1024 * 1024
_EVENT: Final = b'"timestamp":'
_EVENT_FRAME_BYTES: Final = len('{"timestamp":1234567890123,"message":""},')
"""The bytes of an event in a body, without its message."""
_ESCAPES: Final = (b'\\"', b"\\\\")
"""A quote and a backslash inside a message. Their first byte is not part of it. Alerts hold no other escapes."""
_ANSWER: Final = (
    b"HTTP/1.1 %b\r\nContent-Type: application/x-amz-json-1.1\r\nx-amzn-RequestId: 0\r\nContent-Length: %d\r\n\r\n%b"
)
_ACCEPTED: Final = _ANSWER % (b"200 OK", 2, b"{}")
_THROTTLED_BODY: Final = b'{"__type":"ThrottlingException","message":"Rate exceeded"}'
_THROTTLED: Final = _ANSWER % (b"400 Bad Request", len(_THROTTLED_BODY), _THROTTLED_BODY)
_UNAVAILABLE: Final = _ANSWER % (b"503 Service Unavailable", 2, b"{}")
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_PUT: Final = re.compile(rb"\r\nx-amz-target: *[\w.]*PutLogEvents\r\n", re.IGNORECASE)
_GZIP: Final = re.compile(rb"\r\ncontent-encoding: *gzip\r\n", re.IGNORECASE)
_GZIP_WINDOW: Final = 31
_ALERT: Final = re.compile(rb'\\"priority\\":\\"(\w+)\\".*?\\"time\\":\\"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{9})Z\\"')
_TIME: Final = re.compile(rb'\\"time\\": *\\"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?')
"""The time of an alert, which log shippers that decode it may write with another number of digits."""


@dataclass(slots=True)
class Counts:
    """Counts of received requests."""

    puts: int = 0
    events: int = 0
    body_bytes: int = 0
    message_bytes: int = 0
    """The messages of all events, without the request around them: the part of a put that CloudWatch bills by size."""
    refused: int = 0
    first_at: float = 0.0
    """Time of the first put, in seconds of the machine's monotonic clock."""
    last_at: float = 0.0
    latency_seconds: dict[str, array[float]] = field(default_factory=dict)
    """By priority: seconds from the alert's time to its receipt."""
    times: array[int] = field(default_factory=lambda: array("q"))
    """The alerts' own times, in nanoseconds since 1970, in the order of receipt."""


class Gate:
    """A token bucket of one second for puts; 0 puts a second: no limit. While it is closed, all requests get 503."""

    def __init__(self, puts_per_second: float) -> None:
        self.puts_per_second = puts_per_second
        self.open = True
        self._tokens = puts_per_second
        self._filled_at = time.monotonic()

    def admits(self) -> bool:
        if not self.puts_per_second:
            return True
        now = time.monotonic()
        filled = self._tokens + (now - self._filled_at) * self.puts_per_second
        self._tokens, self._filled_at = min(filled, max(1.0, self.puts_per_second)), now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Counter(asyncio.BufferedProtocol):
    """The protocol of one connection."""

    def __init__(self, counts: Counts, gate: Gate, *, watch: bool, identify: bool) -> None:
        self._counts = counts
        self._gate = gate
        self._watch = watch
        self._identify = identify
        self._buffer = bytearray(_BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._filled = 0
        self._body_at = 0
        self._ends_at = 0
        """End of the current request in the buffer; 0: its head is not complete yet."""
        self._is_put = False
        self._is_compressed = False
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self._filled += nbytes
        while self._whole_request():
            self._answer()
            rest = self._filled - self._ends_at
            if rest:
                self._view[:rest] = bytes(self._view[self._ends_at : self._filled])
            self._filled, self._ends_at = rest, 0

    def _whole_request(self) -> bool:
        if not self._ends_at:
            end = self._buffer.find(b"\r\n\r\n", 0, self._filled)
            if end < 0:
                return False
            head = bytes(self._view[: end + 2])
            length = _LENGTH.search(head)
            self._body_at = end + 4
            self._ends_at = self._body_at + (int(length[1]) if length else 0)
            self._is_put = _PUT.search(head) is not None
            self._is_compressed = _GZIP.search(head) is not None
        return self._filled >= self._ends_at

    def _answer(self) -> None:
        assert self._transport is not None
        if not self._gate.open:
            self._counts.refused += 1
            self._transport.write(_UNAVAILABLE)
        elif not self._is_put:
            self._transport.write(_ACCEPTED)
        elif self._gate.admits():
            self._count()
            self._transport.write(_ACCEPTED)
        else:
            self._counts.refused += 1
            self._transport.write(_THROTTLED)

    def _count(self) -> None:
        counts = self._counts
        counts.last_at = time.monotonic()
        counts.first_at = counts.first_at or counts.last_at
        counts.puts += 1
        counts.body_bytes += self._ends_at - self._body_at
        body: bytes | memoryview = self._view[self._body_at : self._ends_at]
        text: bytes | bytearray = self._buffer
        start, end = self._body_at, self._ends_at
        if self._is_compressed:
            body = text = isal_zlib.decompress(body, _GZIP_WINDOW)
            start, end = 0, len(text)
        events = text.count(_EVENT, start, end)
        counts.events += events
        frames = text.find(_EVENT, start, end) - 1 - start + _EVENT_FRAME_BYTES * events
        counts.message_bytes += end - start - frames - sum(text.count(escape, start, end) for escape in _ESCAPES)
        if self._watch:
            self._note_latencies(body)
        if self._identify:
            self._note_times(body)

    def _note_latencies(self, body: bytes | memoryview) -> None:
        now = time.time()
        for priority, second, nanoseconds in _ALERT.findall(body):
            written_at = datetime.fromisoformat(second.decode() + "+00:00").timestamp() + int(nanoseconds) / 1e9
            self._counts.latency_seconds.setdefault(priority.decode(), array("d")).append(now - written_at)

    def _note_times(self, body: bytes | memoryview) -> None:
        # An event may contain the time twice: a shipper that decodes the alert may keep the time of the line too.
        for event in bytes(body).split(_EVENT):
            if found := _TIME.search(event):
                seconds = int(datetime.fromisoformat(found[1].decode() + "+00:00").timestamp())
                self._counts.times.append(seconds * 10**9 + int((found[2] or b"0").ljust(9, b"0")))


async def serve(*, tls: bool, certificate: Path, puts_per_second: float, watch: bool, identify: bool) -> None:
    """Serve until the input ends."""
    counts, gate = Counts(), Gate(puts_per_second)
    loop = asyncio.get_running_loop()
    context = _tls(certificate) if tls else None
    server = await loop.create_server(
        lambda: Counter(counts, gate, watch=watch, identify=identify), "127.0.0.1", 0, ssl=context
    )
    port = server.sockets[0].getsockname()[1]
    _say({"endpoint": f"{'https' if tls else 'http'}://127.0.0.1:{port}", "port": port})
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while command := (await commands.readline()).strip():
        if command in (b"open", b"close"):
            gate.open = command == b"open"
        _say({"times": list(counts.times)} if command == b"times" else _report(counts))
    server.close()


def _report(counts: Counts) -> dict[str, object]:
    return {
        "puts": counts.puts,
        "events": counts.events,
        "body_bytes": counts.body_bytes,
        "message_bytes": counts.message_bytes,
        "refused": counts.refused,
        "first_at": counts.first_at,
        "last_at": counts.last_at,
        "cpu_seconds": time.process_time(),
        "latency_seconds": {priority: list(seconds) for priority, seconds in counts.latency_seconds.items()},
    }


def _say(message: dict[str, object]) -> None:
    sys.stdout.buffer.write(orjson.dumps(message) + b"\n")
    sys.stdout.buffer.flush()


def _tls(certificate: Path) -> ssl.SSLContext:
    """A TLS context with a new certificate, written to a file so that shippers can trust it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "benchmark sink")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = certificate.with_suffix(".key")
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private)
    return context


def main() -> None:
    parser = argparse.ArgumentParser(description="A CloudWatch Logs endpoint that only counts")
    parser.add_argument("--tls", action="store_true", help="serve HTTPS with a new certificate")
    parser.add_argument("--certificate", type=Path, default=Path("sink.pem"), help="file for the certificate")
    parser.add_argument("--puts-per-second", type=float, default=0.0, help="throttle puts above this rate; 0: none")
    parser.add_argument("--watch", action="store_true", help="note the latency of each alert")
    parser.add_argument("--identify", action="store_true", help="note the time of each alert, by which it is known")
    arguments = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(
            serve(
                tls=arguments.tls,
                certificate=arguments.certificate,
                puts_per_second=arguments.puts_per_second,
                watch=arguments.watch,
                identify=arguments.identify,
            )
        )


if __name__ == "__main__":
    main()
