"""Asks Prometheus for the heads of seals, by its HTTP API. Reading is all that it needs."""

from __future__ import annotations

from urllib.parse import urlsplit

import aiohttp
import orjson

from agent.audit.heads import HEAD_METRIC, NUMBER_METRIC, Heads, heads_from
from agent.core.redact import without_passwords
from agent.errors import AuditFailed

ANSWER_SECONDS = 60.0
MOST_ANSWER_BYTES = 256 * 1024 * 1024
STEP_SECONDS = 60
MOST_POINTS = 10_000
"""Prometheus answers with 11,000 points of a series at most."""


async def read_heads(url: str, start_ms: int, end_ms: int) -> Heads:
    """The seals that Prometheus saw in this time. Raises AuditFailed if it does not answer, or saw none."""
    step = max(STEP_SECONDS, -(-(end_ms - start_ms) // 1000 // MOST_POINTS))
    times = {"start": f"{start_ms / 1000:.3f}", "end": f"{end_ms / 1000:.3f}", "step": str(step)}
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    try:
        async with aiohttp.ClientSession(timeout=timeout, trust_env=True) as session:
            numbers = await _query(session, url, NUMBER_METRIC, times)
            heads = await _query(session, url, HEAD_METRIC, times)
        found = Heads(heads_from(numbers, heads))
    except (TimeoutError, aiohttp.ClientError, ValueError) as error:
        why = str(error) or type(error).__name__
        raise AuditFailed(f"--prometheus {without_passwords(url)}: {why}; check the address") from error
    if not found.nodes:
        raise AuditFailed(
            f"--prometheus {without_passwords(url)}: no {NUMBER_METRIC} in this time; "
            "check that Prometheus scrapes the agents, and --from and --to"
        )
    return found


async def _query(session: aiohttp.ClientSession, url: str, metric: str, times: dict[str, str]) -> object:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("is not an address such as http://prometheus:9090")
    async with session.get(f"{url.rstrip('/')}/api/v1/query_range", params={"query": metric, **times}) as response:
        body = bytearray()
        async for piece in response.content.iter_any():
            body += piece
            if len(body) > MOST_ANSWER_BYTES:
                raise ValueError("the answer is too large; choose a shorter time")
        try:
            return orjson.loads(bytes(body))
        except orjson.JSONDecodeError as error:
            raise ValueError(f"answered {response.status} with a body that is not JSON") from error
