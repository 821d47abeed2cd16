"""The retry policy as one table: what to do after each kind of failed put. Pure.

Nothing is ever given up: the shipper tries again until CloudWatch accepts the events or rejects them for good.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from msgspec import Struct

from agent.core.backoff import Backoff
from agent.core.values import Lane
from agent.errors import Denied, Invalid, Missing, PutError, Refused, Throttled, Unavailable, WrongToken

ROUTINE_BACKOFF: Final = Backoff(0.2, 20.0)
URGENT_BACKOFF: Final = Backoff(0.1, 0.5)
"""Urgent batches are few and small. The routine ones, which wait longer, bring a fleet back under its quota."""
DENIED_BACKOFF: Final = Backoff(1.0, 30.0)
"""A person has to repair a policy or a role, and after that nobody should wait long."""

REOPEN_AFTER_DENIALS: Final = 3

LONGEST_WAIT_WHILE_DRAINING_SECONDS: Final = 2.0
"""`drain_seconds` is 30 by default: a longer wait would leave only one or two attempts."""


class Family(Enum):
    """How long to wait before the next attempt."""

    LANE = auto()
    """Short waits for the urgent lane, longer ones for the others."""
    DENIED = auto()
    """A person has to act."""


class Action(Enum):
    """What to do before the same events are sent again."""

    SEND_AGAIN = auto()
    CREATE = auto()
    """Create the missing group or stream."""
    USE_TOKEN = auto()
    """Use the sequence token that the endpoint named."""
    REOPEN = auto()
    """After every third denial of the same events, ask the credentials chain again."""
    SPLIT = auto()
    """Halve the batch to find the event at fault."""


class Rule(Struct, frozen=True):
    family: Family
    action: Action
    free_retries: int = 0
    """So many failures of the same events are expected: they do not count as failures and cause no wait."""


_RULES: Final[tuple[tuple[type[PutError], Rule], ...]] = (
    (Throttled, Rule(Family.LANE, Action.SEND_AGAIN)),
    (Unavailable, Rule(Family.LANE, Action.SEND_AGAIN)),
    (Denied, Rule(Family.DENIED, Action.REOPEN)),
    (Refused, Rule(Family.DENIED, Action.SEND_AGAIN)),
    (Missing, Rule(Family.LANE, Action.CREATE, free_retries=1)),
    (WrongToken, Rule(Family.LANE, Action.USE_TOKEN, free_retries=1)),
    (Invalid, Rule(Family.LANE, Action.SPLIT)),
    (PutError, Rule(Family.LANE, Action.SEND_AGAIN)),
)


def rule_for(error: PutError) -> Rule:
    return next(rule for kind, rule in _RULES if isinstance(error, kind))


def backoff_for(rule: Rule, lane: Lane, *, draining: bool) -> Backoff:
    if rule.family is Family.DENIED:
        backoff = DENIED_BACKOFF
    else:
        backoff = URGENT_BACKOFF if lane is Lane.URGENT else ROUTINE_BACKOFF
    if draining:
        return Backoff(backoff.first_seconds, min(backoff.most_seconds, LONGEST_WAIT_WHILE_DRAINING_SECONDS))
    return backoff
