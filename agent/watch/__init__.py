"""A watch on Falco itself: what it says of its own health, and that it speaks at all."""

from agent.watch.notices import Notices
from agent.watch.silence import Sightings, Silence, Word

__all__ = ["Notices", "Sightings", "Silence", "Word"]
