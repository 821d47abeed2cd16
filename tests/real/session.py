"""What Falco prints into a log file that is captured from a container runtime.

The files below tests/data/logs/containerd-* hold exactly this. After a change here, record all of them again:
record_containerd.py says how.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

_CAPTURED: Final = Path(__file__).parents[1] / "data/falco"


def _alerts(name: str) -> list[bytes]:
    """Alerts that were captured from a running Falco; the name begins with its version."""
    return (_CAPTURED / f"{name}.jsonl").read_bytes().split(b"\n")[:-1]


SHORT: Final = [*_alerts("0.40.0-whoami"), *_alerts("0.44.1-etc_ctr")]
"""From the oldest and the newest captured Falco."""

LONG: Final = [
    *_alerts("0.40.0-big"),
    *(line.replace("日".encode(), "日日日".encode()) for line in _alerts("0.44.1-longmb")),
]
"""The first has 96 KB, the others 25 KB: each of their characters of three bytes is there three times as often as in
the captured alert. Their characters begin a byte apart, so some are cut where the runtime cuts a long line."""

CUT_BY_STDERR: Final = LONG[-2]
"""The runtime writes a part of it, then a line of stderr, then the rest."""

CUT_BY_ROTATION: Final = LONG[-1]
"""The rest of it is in the next file."""

ROTATED: Final = _alerts("0.40.0-odd")
"""Between the two rotations: more than the 4 KiB at which kubelet rotates when it is recorded."""

LAST: Final = [*_alerts("0.44.1-touch_etc"), *_alerts("0.40.0-append-touch_etc")]
"""Less than that, so kubelet does not rotate again. Before Falco crashes."""

UNFINISHED: Final = _alerts("0.44.1-cat_shadow")[0][:500]
"""Half of an alert: Falco crashes before it prints the rest."""

RESTARTED: Final = _alerts("0.44.1-term")
"""From the container that is started after it."""

MESSAGES: Final = (_CAPTURED / "raw/0.44.1-hup.stderr").read_bytes().split(b"\n")[:3]
"""Of a Falco that starts. On stderr: before the alerts, inside one, and before Falco crashes."""

ALERTS: Final = [*SHORT, *LONG, *ROTATED, *LAST, *RESTARTED]
"""All on stdout that were printed whole, in this order."""
