"""The request log of the endpoint: counters of all requests, and records of the last ones.

It shows which operations a client uses (and so which permissions it needs), its puts a second, and the errors it got.
Its memory is bounded: the records are a ring, and there is one counter for each operation and outcome.
"""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass

MAX_RECORDS = 10_000
MAX_SECONDS = 3_600


@dataclass(frozen=True, slots=True)
class RequestRecord:
    at: float
    """Time of the response by the endpoint's clock, in seconds since the epoch."""
    operation: str
    group: str | None
    stream: str | None
    events: int
    """Events accepted (PutLogEvents only)."""
    bytes: int
    """Size of the body after decompression."""
    status: int
    """The HTTP status; 0 when the connection was cut instead."""
    code: str | None
    """The error code of the response; None: success."""
    fault: str | None
    """The kind of the fault that was injected, if any."""


class RequestLog:
    def __init__(self, max_records: int = MAX_RECORDS) -> None:
        self._records: deque[RequestRecord] = deque(maxlen=max_records)
        self._outcomes: Counter[tuple[str, str]] = Counter()
        self._puts_by_second: deque[tuple[int, int]] = deque(maxlen=MAX_SECONDS)
        self._accepted_events = 0
        self._received_bytes = 0

    def __iter__(self) -> Iterator[RequestRecord]:
        return iter(list(self._records))

    def __len__(self) -> int:
        return len(self._records)

    def add(self, record: RequestRecord) -> None:
        self._records.append(record)
        self._outcomes[record.operation, record.code or "ok"] += 1
        self._accepted_events += record.events
        self._received_bytes += record.bytes
        if record.operation == "PutLogEvents":
            second = int(record.at)
            puts = 1
            if self._puts_by_second and self._puts_by_second[-1][0] == second:
                puts += self._puts_by_second.pop()[1]
            self._puts_by_second.append((second, puts))

    def count(
        self,
        operation: str | None = None,
        *,
        stream: str | None = None,
        status: int | None = None,
        code: str | None = None,
    ) -> int:
        """The number of kept records that match all given arguments."""
        return sum(
            (operation is None or record.operation == operation)
            and (stream is None or record.stream == stream)
            and (status is None or record.status == status)
            and (code is None or record.code == code)
            for record in self._records
        )

    def operations(self) -> set[str]:
        """All operations that were requested since the start or the last `clear`."""
        return {operation for operation, _ in self._outcomes}

    def clear(self) -> None:
        self._records.clear()
        self._outcomes.clear()
        self._puts_by_second.clear()
        self._accepted_events = self._received_bytes = 0

    def as_json(self) -> list[dict[str, object]]:
        return [asdict(record) for record in self._records]

    def statistics(self) -> dict[str, object]:
        operations: dict[str, dict[str, int]] = {}
        for (operation, outcome), count in sorted(self._outcomes.items()):
            operations.setdefault(operation, {})[outcome] = count
        return {
            "requests": self._outcomes.total(),
            "operations": operations,
            "accepted_events": self._accepted_events,
            "received_bytes": self._received_bytes,
            "puts_by_second": list(self._puts_by_second),
            "peak_puts_per_second": max((puts for _, puts in self._puts_by_second), default=0),
        }
