"""Prints one synthetic alert as Falco does, then waits until the agent on this node has had it acknowledged.

The proof, from the agent's metrics alone: the alert was read (its rule's counter rose), its lane shipped something
since, nothing was rejected, and whatever is still unacknowledged was read after it. Standard library only.
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
        return _verdict(f"no agent answers on node {os.environ['NODE_NAME']}: {url}; is its pod running there?")
    read, shipped = f'alerts_by_rule_total{{rule="{RULE}"}}', f'records_shipped_total{{lane="{lane}"}}'
    oldest = f'oldest_unacknowledged_seconds{{lane="{lane}"}}'
    _say(_alert(time.time_ns()))

    began = time.monotonic()
    if _until(deadline, lambda: _value(_scrape(url), read) > _value(before, read)) is None:
        return _verdict("the agent did not read the alert; compare its tail.* settings with this pod's place")
    seen = time.monotonic()
    if _until(deadline, lambda: _settled(_scrape(url), before, shipped, oldest, time.monotonic() - seen)) is None:
        return _verdict("the alert was read, and CloudWatch has not acknowledged it; see the agent's log and /readyz")
    if _total(_scrape(url), "records_rejected_total") > _total(before, "records_rejected_total"):
        return _verdict("a record was rejected meanwhile; see records_rejected_total and the dead letters")
    _say(f"acknowledged {time.monotonic() - began:.1f} s after it was written")
    return 0


def _alert(now_ns: int) -> str:
    """Keys, order and form as captured from Falco 0.44."""
    seconds, fraction = divmod(now_ns, 10**DIGITS_OF_NANOSECONDS)
    clock = time.strftime("%H:%M:%S", time.gmtime(seconds)) + f".{fraction:0{DIGITS_OF_NANOSECONDS}d}"
    priority = os.environ["PRIORITY"].capitalize()
    alert = {
        "hostname": os.environ["NODE_NAME"],
        "output": f"{clock}: {priority} A test of the way from this node to CloudWatch, printed by helm test",
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
    """What is unacknowledged now was read after the alert was; so the alert is acknowledged, or was rejected."""
    if samples is None or _value(samples, shipped) <= _value(before, shipped):
        return False
    return _value(samples, oldest) < seconds_since_seen


def _scrape(url: str) -> Samples | None:
    """Samples by name with labels, without the prefix; None while the agent cannot be reached."""
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
    """The first result that counts; None when the deadline has passed."""
    while True:
        if result := attempt():
            return result
        if time.monotonic() > deadline:
            return None
        time.sleep(POLL_SECONDS)


def _verdict(problem: str) -> int:
    _say(problem)
    return 1


def _say(line: str) -> None:
    """On stdout: the container's log, which the agent reads."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
