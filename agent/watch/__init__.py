"""A watch on Falco itself: what it says of its own health, and that it speaks at all."""

from agent.watch.notices import Notices
from agent.watch.saying import Saying
from agent.watch.silence import Sighting, Silence, Word

__all__ = ["Notices", "Saying", "Sighting", "Silence", "Word"]
