"""The agent's metrics, each declared once, and the agent's own log."""

from agent.telemetry.logs import Occasional, configure_logging
from agent.telemetry.metrics import Snapshot, Telemetry

__all__ = ["Occasional", "Snapshot", "Telemetry", "configure_logging"]
