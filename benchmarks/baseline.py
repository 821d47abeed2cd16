"""The baseline: CPU time of a minimal loop that does the same job. It is measured again in each run.

The loop reads, splits, decodes, appends metadata, encodes, hashes and writes to the sink over loopback. It has no
asyncio, no SDK, no settings and no retries, and gives no guarantees. It runs as a separate process:
`python -m benchmarks.baseline ENDPOINT CERTIFICATE FILE...`.
"""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import orjson

from benchmarks.processes import Sink

CHUNK_BYTES = 256 * 1024
BATCH_BYTES = 1_048_576
EVENT_OVERHEAD_BYTES = 26
_FRAGMENT = (
    b',"kubernetes":{"namespace_name":"shop","pod_name":"%b","pod_id":"0b9d6a7e-1c2d-4e3f-8a9b-000000000000",'
    b'"host":"node-1","container_name":"web","container_image":"registry.example/shop/web:1.27.3",'
    b'"workload_name":"web","labels":{"app.kubernetes.io/name":"web","team":"shop"}},'
    b'"falcowatch":{"id":"0f1e2d3c4b5a6978:'
)


class Fields(msgspec.Struct, gc=False):
    pod: str | None = msgspec.field(name="k8s.pod.name", default=None)
    namespace: str | None = msgspec.field(name="k8s.ns.name", default=None)
    container: str | None = msgspec.field(name="container.id", default=None)


class Alert(msgspec.Struct, gc=False):
    time: str
    priority: str
    rule: str
    output_fields: Fields
    source: str = ""


def baseline(target: Sink, logs: Iterable[Path]) -> float:
    """Microseconds of CPU time for each alert."""
    command = [sys.executable, "-m", "benchmarks.baseline", target.endpoint, str(target.certificate or "-")]
    done = subprocess.run([*command, *map(str, logs)], check=True, capture_output=True)
    return float(done.stdout)


def run(connection: socket.socket, logs: Iterable[Path]) -> float:
    decode = msgspec.json.Decoder(Alert).decode
    closing = b'","node":"node-1"}}'
    fragments: dict[str | None, bytes] = {}
    events: list[dict[str, object]] = []
    alerts = size = offset = 0
    began = time.process_time()
    for path in logs:
        for lines in _chunks(path):
            for line in lines:
                start, offset = offset, offset + len(line) + 1
                space = line.find(b" ", 20)
                if line[space : space + 10] != b" stdout F ":
                    continue
                payload = line[space + 10 :]
                alert = decode(payload)
                pod = alert.output_fields.pod
                fragment = fragments.get(pod)
                if fragment is None:
                    fragment = fragments[pod] = _FRAGMENT % (pod or "").encode()
                message = b"%b%b%d%b" % (payload[:-1], fragment, start, closing)
                stamp = alert.time
                if size + len(message) + EVENT_OVERHEAD_BYTES > BATCH_BYTES:
                    _put(connection, events)
                    alerts += len(events)
                    events, size = [], 0
                events.append({"timestamp": 1_795_416_829_000 + int(stamp[20:23]), "message": message.decode()})
                size += len(message) + EVENT_OVERHEAD_BYTES
    if events:
        _put(connection, events)
    return (time.process_time() - began) / (alerts + len(events)) * 1e6


def _chunks(path: Path) -> Iterator[list[bytes]]:
    with path.open("rb", buffering=0) as file:
        rest = b""
        while data := file.read(CHUNK_BYTES):
            lines = (rest + data).split(b"\n")
            rest = lines.pop()
            yield lines


def _put(connection: socket.socket, events: list[dict[str, object]]) -> None:
    body = b'{"logGroupName":"falco","logStreamName":"baseline","logEvents":%b}' % orjson.dumps(events)
    head = b"POST / HTTP/1.1\r\nX-Amz-Target: Logs_20140328.PutLogEvents\r\nX-Digest: %b\r\nContent-Length: %d\r\n\r\n"
    connection.sendall(head % (sha256(body).hexdigest().encode(), len(body)))
    connection.sendall(body)
    answer = b""
    while not answer.endswith(b"{}"):
        answer += connection.recv(4096)


def main(endpoint: str, certificate: str, *logs: str) -> None:
    target = urlsplit(endpoint)
    connection: socket.socket = socket.create_connection((target.hostname or "", target.port or 0))
    if certificate != "-":
        context = ssl.create_default_context(cafile=certificate)
        connection = context.wrap_socket(connection, server_hostname=target.hostname)
    with connection:
        os.write(1, b"%.4f\n" % run(connection, map(Path, logs)))


if __name__ == "__main__":
    main(*sys.argv[1:])
