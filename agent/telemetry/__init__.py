"""What the agent says about itself: its metrics, each declared once, and its log."""

from agent.telemetry.logs import Occasional, configure_logging
from agent.telemetry.metrics import Snapshot, Telemetry

__all__ = ["Occasional", "Snapshot", "Telemetry", "configure_logging"]
