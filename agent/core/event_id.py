"""The id of a record, read out of the event that carries it.

`"falcowatch":{"id":"<file>:<offset>"` stands at the end of every event that is a record of a file, and
is the same however often the record is read and sent. Events of our own making have none.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_OURS: Final = ',"falcowatch'
_ID: Final = re.compile(r',"falcowatch_?":\{"id":"([^":]+):([0-9]+)"')


class RecordId(NamedTuple):
    """Which record it is, for ever."""

    file: str
    offset: int


def record_id(message: str) -> RecordId | None:
    """Whose event it is; None: no record's. Quotes within an alert's strings are escaped, so the last one is ours."""
    match = _ID.match(message, max(0, message.rfind(_OURS)))
    return None if match is None else RecordId(match[1], int(match[2]))
