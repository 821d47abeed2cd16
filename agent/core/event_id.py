"""Reads the id of a record out of the event that carries the record.

Each event made from a record of a file ends with `"falcowatch":{"id":"<file>:<offset>",…}}`. The id is the same
each time the record is read and sent. The agent's own events have no such id.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_KEY: Final = ',"falcowatch'
_ID: Final = re.compile(r',"falcowatch":\{"id":"([^":]+):([0-9]+)"[^\n]*\}\}')


class RecordId(NamedTuple):
    """Identifies a record across restarts and resends."""

    file: str
    offset: int


def record_id(message: str) -> RecordId | None:
    """The id in the event's message; None if the event was not made from a record.

    The last `falcowatch` key is the agent's, and its object ends the message: quotes inside the alert's own strings are
    escaped, and an alert with such a key of its own ships as a text.
    """
    match = _ID.fullmatch(message, max(0, message.rfind(_KEY)))
    return None if match is None else RecordId(match[1], int(match[2]))
