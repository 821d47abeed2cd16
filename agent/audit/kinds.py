"""Every kind of finding, with its weight and the sentence that explains it to the reader of a report."""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import NamedTuple


class Weight(StrEnum):
    PROBLEM = "problem"
    """The history is not what the agent sent. Exit code 1."""
    OPEN = "open"
    """The data ends before it can be decided. Exit code 3."""
    NOTE = "note"
    """Worth knowing; it does not weaken the proof."""


class _Meaning(NamedTuple):
    name: str
    weight: Weight
    sentence: str


class Kind(Enum):
    """The names stand in the report and in `--json`, so they stay as they are."""

    SEAL_MISSING = _Meaning(
        "seal missing",
        Weight.PROBLEM,
        "The chain of seals has a hole. The agent sends each seal until CloudWatch has it, so seals were deleted.",
    )
    CHAIN_BROKEN = _Meaning(
        "chain broken",
        Weight.PROBLEM,
        "A seal names another digest of the seal before it than that seal has. One of the two was changed or forged.",
    )
    CHAIN_RESTARTED = _Meaning(
        "chain restarted",
        Weight.PROBLEM,
        "The agent began a new chain of seals. Its state was lost, restored from a copy, or somebody forged a chain.",
    )
    NODE_REWOUND = _Meaning(
        "node rewound",
        Weight.PROBLEM,
        "Two different seals have the same number. The node was set back to an older state, or one seal was forged.",
    )
    HEARTBEAT_FORGED = _Meaning(
        "heartbeat forged",
        Weight.PROBLEM,
        "No seal knows this heartbeat. The agent lists each heartbeat that it had to send without a seal.",
    )
    SEAL_UNREADABLE = _Meaning(
        "seal unreadable",
        Weight.PROBLEM,
        "The heartbeat has no seal that this program can read. It was changed, forged, or written by a newer agent.",
    )
    MAC_WRONG = _Meaning(
        "mac wrong",
        Weight.PROBLEM,
        "The seal's code does not fit its bytes. The seal was changed or forged, or this is not the key of the agent.",
    )
    MAC_MISSING = _Meaning(
        "mac missing",
        Weight.PROBLEM,
        "The seal carries no code of the kind that was asked for. It was forged, or the agent had no key then.",
    )
    COUNT_DIFFERS = _Meaning(
        "count differs",
        Weight.PROBLEM,
        "CloudWatch holds another number of events in this range of the file than the seal states.",
    )
    DIGEST_DIFFERS = _Meaning(
        "digest differs",
        Weight.PROBLEM,
        "The number of events in this range of the file is right, but the bytes of one or more were changed.",
    )
    HOLE = _Meaning(
        "hole",
        Weight.PROBLEM,
        "No seal says anything about this range of the file, and the agent announced no gap there.",
    )
    EVENT_ALTERED = _Meaning(
        "event altered",
        Weight.PROBLEM,
        "Two events have the same id and different alerts. One of them was changed or forged.",
    )
    EVENT_NOT_SEALED = _Meaning(
        "event not sealed",
        Weight.PROBLEM,
        "No seal covers this event, and it is older than two heartbeats. It was forged, or its seal was deleted.",
    )
    ID_MALFORMED = _Meaning(
        "id malformed",
        Weight.PROBLEM,
        "The event names a node, but no agent writes an event like this. It was forged or changed.",
    )
    NO_SEALS = _Meaning(
        "no seals",
        Weight.PROBLEM,
        "The data has events of this node and no seal. The seals were deleted, the events were forged, or seals are "
        "not enabled (seal.enabled, heartbeat_seconds).",
    )
    NODE_STOPPED = _Meaning(
        "node stopped",
        Weight.PROBLEM,
        "The last seal is older than two heartbeats, and the agent did not say that it leaves. The node crashed or "
        "was removed, or the newest events and seals were deleted.",
    )
    HEAD_DIFFERS = _Meaning(
        "head differs",
        Weight.PROBLEM,
        "Prometheus remembers another seal with this number. The seal in CloudWatch was replaced.",
    )
    HEAD_MISSING = _Meaning(
        "head missing",
        Weight.PROBLEM,
        "Prometheus remembers a seal that CloudWatch does not have. The seal and its events were deleted.",
    )

    NODE_RUNNING = _Meaning("node running", Weight.OPEN, "The agent runs; it will seal what came after its last seal.")
    NOT_SEALED_YET = _Meaning("not sealed yet", Weight.OPEN, "The seal of these events is not due yet.")
    BEFORE_THE_DATA = _Meaning(
        "before the data",
        Weight.OPEN,
        "The data begins in the middle of a chain of seals: older events are out of the chosen time or expired.",
    )
    BEFORE_THE_SEALS = _Meaning(
        "before the seals", Weight.OPEN, "The event is older than the first seal of the node, so no seal can cover it."
    )
    BEGAN_BEFORE_THE_DATA = _Meaning(
        "began before the data",
        Weight.OPEN,
        "The seal covers events that are not in the data. Later seals of this range are proved by count; to prove the "
        "bytes too, repeat the audit with an earlier --from.",
    )
    UNDECIDED = _Meaning(
        "undecided",
        Weight.OPEN,
        "The agent's filters changed between two readings of this range, and the data cannot tell which events belong "
        "to which of the two.",
    )
    TOO_MANY_REJECTED = _Meaning(
        "too many rejected",
        Weight.OPEN,
        "CloudWatch rejected more events of this range than a seal can name, so the range is not proved.",
    )
    HEAD_NOT_HERE_YET = _Meaning(
        "head not here yet", Weight.OPEN, "Prometheus remembers a newer seal, which may be on its way to CloudWatch."
    )

    SETTINGS_CHANGED = _Meaning("settings changed", Weight.NOTE, "The settings that filter alerts were changed.")
    KEY_SET = _Meaning(
        "key set", Weight.NOTE, "An administrator gave the agent a key, so it began a new chain that carries codes."
    )
    RESTARTED = _Meaning(
        "restarted", Weight.NOTE, "The agent was killed or crashed, and started again. Its seals go on without a hole."
    )
    LEFT_OUT = _Meaning(
        "left out",
        Weight.NOTE,
        "Another run of the agent shipped these events. This segment does not hold them: they were filtered or folded.",
    )
    IN_A_GAP = _Meaning(
        "in a gap",
        Weight.NOTE,
        "Events that arrived although the agent announced their bytes, or the end of their file, as lost.",
    )
    REPLAYED = _Meaning("replayed", Weight.NOTE, "Events that CloudWatch rejected first and accepted when replayed.")
    MACS_NOT_CHECKED = _Meaning(
        "macs not checked", Weight.NOTE, "The seals carry codes; pass --key-file or --kms to check them."
    )

    @property
    def title(self) -> str:
        return self.value.name

    @property
    def weight(self) -> Weight:
        return self.value.weight

    @property
    def sentence(self) -> str:
        return self.value.sentence


EXPECTED_OF_RUNNING_NODES = frozenset(
    {
        Kind.NODE_RUNNING,
        Kind.NOT_SEALED_YET,
        Kind.BEFORE_THE_DATA,
        Kind.BEFORE_THE_SEALS,
        Kind.BEGAN_BEFORE_THE_DATA,
        Kind.HEAD_NOT_HERE_YET,
    }
)
"""Open points that every audit of a running node has: the chosen time cuts its chain of seals at both ends."""
