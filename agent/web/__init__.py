"""The agent's HTTP face: metrics for Prometheus, health for kubelet, a status page for a person.

What it shows is handed in as values (`report`); it knows no other part of the agent.
"""

from agent.web.report import (
    Alert,
    Books,
    Enrichment,
    Falco,
    FileReport,
    LaneReport,
    Probe,
    Report,
)
from agent.web.server import serve

__all__ = ["Alert", "Books", "Enrichment", "Falco", "FileReport", "LaneReport", "Probe", "Report", "serve"]
