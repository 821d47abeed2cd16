"""The errors a person can meet, as one tree.

FalcowatchError
├── SettingsError         the configuration as a whole is unusable: every problem, at once
├── StateError            the state directory cannot be used
│   ├── StateLocked       another agent holds it
│   ├── StateUnwritable   it cannot be written
│   ├── LockLost          it was removed and made again while the agent was running
│   └── CheckpointTooNew  its checkpoint was written by a newer version
├── CheckpointCorrupt     the checkpoint's bytes are not a checkpoint
├── DiscoveryError        the log root cannot be read
├── PortUnavailable       the HTTP port cannot be opened
├── PutError              a put did not deliver; its subclass says what to do next
│   ├── Throttled         too many requests: the same bytes again, later and slower
│   ├── Unavailable       a fault on their side or on the way: the same bytes again, later
│   │   └── Unread        the request could not be read: the same events, written otherwise or later
│   ├── Denied            credentials are missing, expired or not allowed: again, slowly
│   ├── Missing           the log group or stream does not exist: create it, then again
│   ├── Invalid           the batch cannot be accepted as it is: find the culprit
│   ├── Refused           the group or stream cannot be as configured, or a quota is reached: again, slowly
│   └── WrongToken        the endpoint still enforces sequence tokens: again with its token
├── KubernetesError       the API server refused or did not answer
└── DemoFailed            the demonstration did not prove what it should

Every message names the path, the value and what to do about it. Foreign errors stay as the cause.
"""

from __future__ import annotations


class FalcowatchError(Exception):
    """Anything that a user or an operator can cause and mend."""


class SettingsError(FalcowatchError):
    """The configuration is unusable; `problems` holds one line for each thing that is wrong."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class StateError(FalcowatchError):
    """The state directory cannot be used."""


class StateLocked(StateError):
    """Another agent holds the state directory."""


class StateUnwritable(StateError):
    """The state directory cannot be written; shipping goes on, progress is not saved."""


class LockLost(StateError):
    """The state directory was removed and made again, so its lock is not ours any more."""


class CheckpointTooNew(StateError):
    """The checkpoint was written by a newer version, whose format this one cannot read."""


class CheckpointCorrupt(FalcowatchError):
    """The bytes of a checkpoint are not a checkpoint that this version can read."""


class DiscoveryError(FalcowatchError):
    """The log root cannot be read."""


class PortUnavailable(FalcowatchError):
    """The HTTP port cannot be opened."""


class PutError(FalcowatchError):
    """A put did not deliver. `reason` is the metric label; the class says what to do next."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class Throttled(PutError):
    """Too many requests: the same bytes again, later and slower."""


class Unavailable(PutError):
    """A fault on their side or on the way: the same bytes again, later."""


class Unread(Unavailable):
    """Who answered could not read the request: the same events again, written otherwise or later."""


class Denied(PutError):
    """Credentials are missing, expired or not allowed: the same bytes again, slowly."""


class Missing(PutError):
    """The log group or stream does not exist: create it, then the same bytes again."""


class Invalid(PutError):
    """CloudWatch cannot accept the batch as it is: halve it until the culprit stands alone."""


class Refused(PutError):
    """No batch is at fault: a name, a setting of the group or a quota is, and a person must act; again, slowly."""


class WrongToken(PutError):
    """The endpoint enforces sequence tokens and expected another one (`None`: the first put of a stream)."""

    def __init__(self, message: str, *, expected: str | None) -> None:
        super().__init__(message, reason="wrong_token")
        self.expected = expected


class KubernetesError(FalcowatchError):
    """The API server refused or did not answer."""


class DemoFailed(FalcowatchError):
    """The demonstration did not prove what it should."""
