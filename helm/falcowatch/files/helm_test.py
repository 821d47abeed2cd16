"""Prints one test alert in Falco's format, then waits until CloudWatch has acknowledged it.

It uses only the metrics of the agent on this node. The alert is acknowledged when the counter of its rule has
increased, its lane has shipped a record since then, no record was rejected, and every unacknowledged record was read
after the alert. The program needs only the standard library.
"""

import json
import os
import sys
import time
import urllib.request
from collections.abc import Callable
from typing import TypeVar

Samples = dict[str, float]
Result = TypeVar("Result")

RULE = "Falcowatch helm test"
POLL_SECONDS = float(os.environ.get("POLL_SECONDS", "1"))
DIGITS_OF_NANOSECONDS = 9


def main() -> int:
    url, lane = os.environ["METRICS_URL"], os.environ["LANE"]
    deadline = time.monotonic() + float(os.environ["TIMEOUT_SECONDS"])
    before = _until(deadline, lambda: _scrape(url))
    if before is None:
        return _fail(f"no agent answers on node {os.environ['NODE_NAME']} ({url}); check that its pod runs there")
    read, shipped = f'alerts_by_rule_total{{rule="{RULE}"}}', f'records_shipped_total{{lane="{lane}"}}'
    oldest = f'oldest_unacknowledged_seconds{{lane="{lane}"}}'
    _print(_alert(time.time_ns()))

    began = time.monotonic()
    if _until(deadline, lambda: _value(_scrape(url), read) > _value(before, read)) is None:
        return _fail("the agent did not read the alert; check that its tail.* settings match this pod")
    seen = time.monotonic()
    if _until(deadline, lambda: _settled(_scrape(url), before, shipped, oldest, time.monotonic() - seen)) is None:
        return _fail("CloudWatch has not acknowledged the alert, which the agent read; see its log and /readyz")
    if _total(_scrape(url), "records_rejected_total") > _total(before, "records_rejected_total"):
        return _fail("CloudWatch rejected a record during the test; see records_rejected_total and the dead letters")
    _print(f"acknowledged {time.monotonic() - began:.1f} s after it was written")
    return 0


def _alert(now_ns: int) -> str:
    """Returns an alert with the keys, their order and the format of Falco 0.44."""
    seconds, fraction = divmod(now_ns, 10**DIGITS_OF_NANOSECONDS)
    clock = time.strftime("%H:%M:%S", time.gmtime(seconds)) + f".{fraction:0{DIGITS_OF_NANOSECONDS}d}"
    priority = os.environ["PRIORITY"].capitalize()
    alert = {
        "hostname": os.environ["NODE_NAME"],
        "output": f"{clock}: {priority} Test of the delivery from this node to CloudWatch, printed by helm test",
        "output_fields": {
            "evt.time": now_ns,
            "k8s.ns.name": os.environ["POD_NAMESPACE"],
            "k8s.pod.name": os.environ["POD_NAME"],
        },
        "priority": priority,
        "rule": RULE,
        "source": "syscall",
        "tags": ["falcowatch_test"],
        "time": time.strftime("%Y-%m-%dT", time.gmtime(seconds)) + clock + "Z",
    }
    return json.dumps(alert, separators=(",", ":"))


def _settled(samples: Samples | None, before: Samples, shipped: str, oldest: str, seconds_since_seen: float) -> bool:
    """True if every unacknowledged record was read after the alert: the alert is then acknowledged or rejected."""
    if samples is None or _value(samples, shipped) <= _value(before, shipped):
        return False
    return _value(samples, oldest) < seconds_since_seen


def _scrape(url: str) -> Samples | None:
    """Returns samples by name and labels, without the prefix, or None if the agent cannot be reached."""
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            lines = reply.read().decode().splitlines()
    except OSError:
        return None
    pairs = (line.rsplit(" ", 1) for line in lines if line.startswith("falcowatch_"))
    return {name.removeprefix("falcowatch_"): float(value) for name, value in pairs}


def _value(samples: Samples | None, name: str) -> float:
    return (samples or {}).get(name, 0.0)


def _total(samples: Samples | None, family: str) -> float:
    return sum(value for name, value in (samples or {}).items() if name.partition("{")[0] == family)


def _until(deadline: float, attempt: Callable[[], Result]) -> Result | None:
    """Repeats the attempt until its result is true, and returns this result. Returns None after the deadline."""
    while True:
        if result := attempt():
            return result
        if time.monotonic() > deadline:
            return None
        time.sleep(POLL_SECONDS)


def _fail(problem: str) -> int:
    _print(problem)
    return 1


def _print(line: str) -> None:
    """Prints to stdout, which becomes the log of the container, which the agent reads."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
