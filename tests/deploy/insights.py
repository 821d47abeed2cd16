"""Runs the queries of the stack on single events, by the embedded CloudWatch."""

from __future__ import annotations

import time
from typing import Any

import orjson

from agent.local.emulator.insights import run_query
from agent.local.emulator.store import StoredEvent


def selects(query: str, event: dict[str, Any], *, ingested_at: float | None = None) -> bool:
    """Whether the query returns the event. `ingested_at`: when it arrived; None: just now."""
    now = time.time()
    arrived_ms = int((now if ingested_at is None else ingested_at) * 1000)
    return bool(run_query(query, [StoredEvent(arrived_ms, orjson.dumps(event), arrived_ms, "node-a")], now=now))
