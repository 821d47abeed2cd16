"""Finds Falco once, for `falcowatch check`: the same finder and the same states as in the running agent."""

from __future__ import annotations

import time
from collections.abc import Sequence

from agent.core.falco_state import FalcoView, NodeFalco
from agent.enrich.pod import Pod
from agent.selfmonitor.falco_finder import FalcoFinder
from agent.settings import FalcoRules, Tail
from agent.tail.types import Found, Source


def look_once(tail: Tail, falco: FalcoRules, found: Found, pods: Sequence[Pod]) -> FalcoView:
    """`found`: the log files that the settings select. `pods`: those that the API server knows."""
    now = time.monotonic()
    sources = [(source, now - _quiet_seconds(source)) for source in found]
    finder = FalcoFinder(tail)
    node = NodeFalco(falco.silent_seconds, falco.missing_seconds, finder.selected_by)
    node.look(finder.find(sources, pods, now).falcos, now)
    assert node.view is not None, "the look has just set it"
    return node.view


def _quiet_seconds(source: Source) -> float:
    """Time since the live file was last written; 0 for a file that has just gone."""
    try:
        return max(0.0, time.time() - source.path.stat().st_mtime)
    except OSError:
        return 0.0
