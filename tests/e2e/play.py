"""Prints captured alerts on stdout. The time of alert number n is the first time plus n microseconds.

The program runs in the pod that replaces Falco, with the package of the image. From the first time and the number of
alerts, the test knows the time of every alert.
"""

import os
import re
import sys
import time

from agent.local.player import captured_alerts, stamped

STEP_NS = 1_000
TICK_SECONDS = 0.1
TIME = re.compile(rb'"time":"([^"]+)"\}$')


def main() -> None:
    first_ns, alerts = int(os.environ["FIRST_NS"]), int(os.environ["ALERTS"])
    alerts_per_tick = max(1, round(float(os.environ["ALERTS_PER_SECOND"]) * TICK_SECONDS))
    captured = [
        (alert[: match.start(1)], alert[match.end(1) :])
        for alert in captured_alerts()
        if (match := TIME.search(alert)) is not None
    ]
    due = time.monotonic()
    for start in range(0, alerts, alerts_per_tick):
        for number in range(start, min(start + alerts_per_tick, alerts)):
            before, after = captured[number % len(captured)]
            sys.stdout.buffer.write(before + stamped(first_ns + number * STEP_NS) + after + b"\n")
        sys.stdout.buffer.flush()
        due += TICK_SECONDS
        time.sleep(max(0.0, due - time.monotonic()))
    while os.environ.get("STAY"):
        time.sleep(3600)


if __name__ == "__main__":
    main()
