"""Writes helm/falcowatch/files/dashboard.json. With --check only reports whether it is up to date (exit 0 or 1)."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tools import ROOT
from tools.dashboards.render import text

TARGET = ROOT / "helm/falcowatch/files/dashboard.json"


def main(arguments: Sequence[str]) -> int:
    if "--check" not in arguments:
        TARGET.write_text(text(), encoding="utf-8")
        return 0
    if TARGET.read_text(encoding="utf-8") == text():
        return 0
    sys.stderr.write(f"{TARGET} is out of date; run python -m tools.dashboards\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
