"""The errors that a user or an operator can cause, as one tree.

FalcowatchError
├── SettingsError         the configuration is invalid; holds every error in it
├── StateError            the state directory cannot be used
│   ├── StateLocked       another agent has locked it
│   ├── StateUnwritable   it cannot be written
│   ├── LockLost          it was removed and made again while the agent was running
│   ├── SpillUnreadable   alerts that waited on disk cannot be read again
│   └── CheckpointTooNew  its checkpoint was written by a newer version
├── CheckpointCorrupt     the content of the checkpoint file is not a checkpoint
├── SealKeyUnreadable    the file with the secret for the seals cannot be read
├── DiscoveryError        the log directory cannot be read
├── PortUnavailable       the HTTP port cannot be opened
├── PutError              a PutLogEvents request failed; the subclass says what to do next
│   ├── Throttled         too many requests: repeat the request later and more slowly
│   ├── Unavailable       CloudWatch or the network failed: repeat the request later
│   │   └── Unread        the endpoint could not read the request: repeat it without compression, or later
│   ├── Denied            access denied, expired or invalid credentials: repeat it slowly
│   ├── Missing           the log group or stream does not exist: create it, then repeat the request
│   ├── Invalid           CloudWatch refuses the batch: find the event that causes it
│   ├── Refused           a name, a group setting or a quota is wrong: repeat it slowly until someone changes it
│   └── WrongToken        the endpoint still checks sequence tokens: repeat the request with the expected token
├── AuditFailed           the audit cannot read events, or cannot ask what it was told to ask
├── KubernetesError       the API server refused the request or did not answer
└── DemoFailed            the demo did not prove that every alert arrived

Every message names the path, the value and the remedy. The original error is kept as the cause. A message may quote
the answer of a server, so it is bounded: it goes into the log, to the status page and into the agent's own events.
"""

from __future__ import annotations

from typing import Final

LONGEST_QUOTE_CHARS: Final = 300
"""Of a server's words in a message."""

LONGEST_MESSAGE_CHARS: Final = 4000
"""Of a message with names of groups and streams (512 characters each), a quote and a remedy."""


class FalcowatchError(Exception):
    """Base of all errors that a user or an operator can cause and fix."""


class SettingsError(FalcowatchError):
    """The configuration is invalid. `problems` holds one line for each error in it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class StateError(FalcowatchError):
    """The state directory cannot be used."""


class StateLocked(StateError):
    """Another agent has locked the state directory."""


class StateUnwritable(StateError):
    """The state directory cannot be written. Shipping continues, but progress is not saved."""


class SpillUnreadable(StateError):
    """Alerts that waited on disk cannot be read again. The log files still have them."""


class LockLost(StateError):
    """The state directory was removed and made again, so its lock is not ours any more."""


class CheckpointTooNew(StateError):
    """The checkpoint was written by a newer version, whose format this one cannot read."""


class CheckpointCorrupt(FalcowatchError):
    """The content of a checkpoint file is not a checkpoint that this version can read."""


class SealKeyUnreadable(FalcowatchError):
    """The file with the secret for the seals cannot be read, or is empty."""


class DiscoveryError(FalcowatchError):
    """The log directory cannot be read."""


class PortUnavailable(FalcowatchError):
    """The HTTP port cannot be opened."""


class PutError(FalcowatchError):
    """A PutLogEvents request failed. `reason` is the metric's label; the class says what to do next."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(shortened(message, LONGEST_MESSAGE_CHARS))
        self.reason = reason


class Throttled(PutError):
    """Too many requests: repeat the request later and more slowly."""


class Unavailable(PutError):
    """CloudWatch or the network failed: repeat the request later."""


class Unread(Unavailable):
    """The endpoint could not read the request: repeat it without compression, or later."""


class Denied(PutError):
    """Access denied, expired or invalid credentials: repeat the request slowly."""


class Missing(PutError):
    """The log group or stream does not exist: create it, then repeat the request."""


class Invalid(PutError):
    """CloudWatch refuses the batch: halve it until the event that causes the refusal is alone."""


class Refused(PutError):
    """A name, a group setting or a quota is wrong, not the batch: repeat slowly until an administrator changes it."""


class WrongToken(PutError):
    """The endpoint checks sequence tokens and expected another one. None: it expected the first request of a stream."""

    def __init__(self, message: str, *, expected: str | None) -> None:
        super().__init__(message, reason="wrong_token")
        self.expected = expected


class AuditFailed(FalcowatchError):
    """The audit cannot read the events, or cannot ask Prometheus. It has decided nothing."""


class KubernetesError(FalcowatchError):
    """The API server refused the request or did not answer."""

    def __init__(self, message: str) -> None:
        super().__init__(shortened(message, LONGEST_MESSAGE_CHARS))


class DemoFailed(FalcowatchError):
    """The demo did not prove that every alert arrived."""


def shortened(text: str, most_chars: int = LONGEST_QUOTE_CHARS) -> str:
    """At most `most_chars` characters of the text, with a sign where it was cut."""
    return text if len(text) <= most_chars else f"{text[: most_chars - 1]}…"
