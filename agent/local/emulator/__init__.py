"""An embedded CloudWatch Logs: a strict local endpoint for the demo, the tests and the benchmarks.

It promises to accept and to refuse what AWS would (limits, order, age, names, rejected indices, error codes), to keep
what it accepted on disk with bounded memory, and to misbehave on request. It keeps one account, does not verify
signatures, and knows only the operations a shipper and a reader of its logs need.

In a test or the demo::

    async with EmbeddedCloudWatch(data_dir=tmp_path) as cloudwatch:
        ...                                     # point a client at cloudwatch.url, any well-formed key pair
        cloudwatch.faults.add(Fault("throttle", operation="PutLogEvents", count=3))
        await cloudwatch.until(lambda: cloudwatch.count("falco") == 20)
        for event in cloudwatch.events("falco"):    # in order of arrival
            event.timestamp, event.message, event.ingested, event.stream    # ms, bytes, ms, str
        cloudwatch.follow("falco").new_events()     # each event once, as they arrive
        cloudwatch.requests.count("PutLogEvents", status=200)

Arguments: `data_dir` (None: a temporary directory, removed at the end), `host`, `port` (0: any free one), `now` (a
test's own clock: seconds since the epoch), `sequence_tokens` (enforce them, as AWS did before 2023), `discard`
(validate and count, store nothing), `tls` (certificate and key paths), `faults` (to start with).

As a process: `python -m agent.local.emulator --port 0 --data DIR` prints `listening on http://127.0.0.1:PORT` first.
Beside the AWS protocol it serves `GET/PUT/POST/DELETE /_faults`, `GET/DELETE /_requests` and `GET /_stats`.
"""

from agent.local.emulator.embedded import DataInUseError, EmbeddedCloudWatch, serve
from agent.local.emulator.faults import Fault, Faults
from agent.local.emulator.requests import RequestLog, RequestRecord
from agent.local.emulator.store import Follower, StoredEvent
from agent.local.emulator.streamlog import CorruptDataError

__all__ = [
    "CorruptDataError",
    "DataInUseError",
    "EmbeddedCloudWatch",
    "Fault",
    "Faults",
    "Follower",
    "RequestLog",
    "RequestRecord",
    "StoredEvent",
    "serve",
]
