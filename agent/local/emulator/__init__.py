"""An embedded CloudWatch Logs: a strict local endpoint for the demo, the tests and the benchmarks.

It accepts and refuses requests as AWS does (limits, order, age, names, rejected indices, error codes), keeps accepted
events on disk with bounded memory, and misbehaves on request (`faults`). It has one account, does not verify
signatures, and implements only the operations that a shipper and a reader of logs need.

In a test or the demo::

    async with EmbeddedCloudWatch(data_dir=tmp_path) as cloudwatch:
        ...                                     # a client of cloudwatch.url with any well-formed key pair
        cloudwatch.faults.add(Fault("throttle", operation="PutLogEvents", count=3))
        await cloudwatch.until(lambda: cloudwatch.count("falco") == 20)
        for event in cloudwatch.events("falco"):    # in order of arrival
            event.timestamp, event.message, event.ingested, event.stream    # ms, bytes, ms, str
        cloudwatch.follow("falco").new_events()     # each event once, as events arrive
        cloudwatch.requests.count("PutLogEvents", status=200)

Arguments: `data_dir` (None: a temporary directory, removed at the end), `host`, `port` (0: any free port), `now` (the
clock, in seconds since the epoch), `sequence_tokens` (enforce them, as AWS did before 2023), `discard` (validate and
count events, store none), `tls` (paths of certificate and key), `faults` (the faults set at the start).

As a process: `python -m agent.local.emulator --port 0 --data DIR` prints `listening on http://127.0.0.1:PORT` as its
first line. It also serves `GET/PUT/POST/DELETE /_faults`, `GET/DELETE /_requests` and `GET /_stats`.
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
