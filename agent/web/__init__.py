"""The agent's HTTP server: metrics for Prometheus, health and readiness for kubelet, a status page for people.

The pages are made from values (`report`) that the caller provides; this package knows no other part of the agent.
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
