"""A watch on Falco itself: what it says of its own health, and that it speaks at all."""

from agent.selfmonitor.events import OwnEvent
from agent.selfmonitor.liveness import Liveness, Sighting, Transition
from agent.selfmonitor.notices import Notices

__all__ = ["Liveness", "Notices", "OwnEvent", "Sighting", "Transition"]
