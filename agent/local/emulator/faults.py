"""Faults on request: decides for each call whether a fault hits it, and which one.

A fault is a value. `Faults` holds the faults that are set, counts their hits, and draws from a seeded generator, so a
run can be repeated. This module only decides; the server waits, cuts the connection or answers.
"""

import random
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from fnmatch import fnmatchcase

from agent.errors import FalcowatchError
from agent.local.emulator.adversary import HOSTILE_KINDS, HostileAnswer, hostile_answer
from agent.local.emulator.replies import ServiceError, invalid_parameter, invalid_sequence_token

REFUSALS = ("throttle", "error", "denied", "invalid", "wrong_token", "expired_token", "invalid_token")
"""Kinds that answer with an error of AWS."""
KINDS = ("slow", "hang", "reset", "close", *REFUSALS, *HOSTILE_KINDS)


class FaultError(FalcowatchError):
    """A fault was requested that does not exist, or with an invalid value."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault and the calls that it hits: calls that match the globs, after `skip` of them, `count` at most.

    `throttle` with `per_second` is a quota (a token bucket of one second) and hits only calls above it. `slow` waits
    `seconds` and then performs the call. Every other kind ends the call: `reset` with a TCP reset, `close` with a FIN.
    `wrong_token` always expects another sequence token than the one that was sent. The kinds in `HOSTILE_KINDS` send a
    hostile answer. With `accepted` the call takes effect first, and only its answer is lost, late or wrong, so a
    shipper sends its events again.
    """

    kind: str
    operation: str = "*"
    group: str = "*"
    stream: str = "*"
    count: int | None = None
    skip: int = 0
    probability: float = 1.0
    per_second: float | None = None
    seconds: float = 0.0
    status: int = 503
    """HTTP status of `error`."""
    code: str | None = None
    """Code of `error`; without one 503 is ServiceUnavailableException, anything else InternalFailure."""
    accepted: bool = False
    location: str | None = None
    """Target of `redirect`."""
    size: int | None = None
    """Bytes of `huge_error`; None: 1 GB."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise FaultError(f"kind: {self.kind!r} is not a kind of fault; use one of {', '.join(KINDS)}")
        if not 0 <= self.probability <= 1:
            raise FaultError(f"probability: {self.probability} is not between 0 and 1")
        if self.per_second is not None and (self.kind != "throttle" or self.per_second <= 0):
            raise FaultError(
                f"per_second: must be a positive number with kind throttle, got {self.per_second} with {self.kind}"
            )
        if self.seconds < 0 or self.skip < 0 or (self.count is not None and self.count < 1):
            raise FaultError("seconds and skip must not be negative, count must be at least 1")
        if not 400 <= self.status <= 599:
            raise FaultError(f"status: {self.status} is not an error status (400 to 599)")

    def matches(self, operation: str, group: str | None, stream: str | None) -> bool:
        return (
            fnmatchcase(operation, self.operation)
            and (self.group == "*" or fnmatchcase(group or "", self.group))
            and (self.stream == "*" or fnmatchcase(stream or "", self.stream))
        )

    @property
    def hostile(self) -> HostileAnswer | None:
        """The hostile answer, for a kind that has one."""
        if self.kind not in HOSTILE_KINDS:
            return None
        return hostile_answer(self.kind, location=self.location, size=self.size)

    def error(self, operation: str) -> ServiceError:
        """The error response, for the kinds that answer with one."""
        match self.kind:
            case "throttle":
                return ServiceError("ThrottlingException", "Rate exceeded")
            case "denied":
                who = "arn:aws:iam::123456789012:user/falcowatch"
                return ServiceError(
                    "AccessDeniedException", f"User: {who} is not authorized to perform: logs:{operation}"
                )
            case "invalid":
                return invalid_parameter("1 validation error detected")
            case "wrong_token":
                return invalid_sequence_token("49000000000000000000000000000000000000000000000000000001")
            case "expired_token":
                return ServiceError("ExpiredTokenException", "The security token included in the request is expired")
            case "invalid_token":
                return ServiceError(
                    "UnrecognizedClientException", "The security token included in the request is invalid."
                )
            case _:
                usual = "ServiceUnavailableException" if self.status == 503 else "InternalFailure"
                return ServiceError(self.code or usual, "The service cannot complete the request.", status=self.status)


def fault_of(values: object) -> Fault:
    """The fault of a JSON object whose keys are the field names of `Fault`. Raises FaultError."""
    if not isinstance(values, Mapping):
        raise FaultError('a fault is an object such as {"kind": "throttle", "count": 3}')
    known = {field.name: field for field in fields(Fault)}
    unknown = sorted(set(values) - set(known))
    if unknown or "kind" not in values:
        raise FaultError(f"unknown or missing key: {', '.join(unknown) or 'kind'}; the keys are {', '.join(known)}")
    types: dict[str, tuple[type, ...]] = {
        "kind": (str,),
        "operation": (str,),
        "group": (str,),
        "stream": (str,),
        "count": (int, type(None)),
        "skip": (int,),
        "probability": (int, float),
        "per_second": (int, float, type(None)),
        "seconds": (int, float),
        "status": (int,),
        "code": (str, type(None)),
        "accepted": (bool,),
        "location": (str, type(None)),
        "size": (int, type(None)),
    }
    for name, value in values.items():
        if type(value) not in types[name]:
            raise FaultError(f"{name}: {value!r} has the wrong type")
    return Fault(**values)


@dataclass(slots=True)
class _Armed:
    fault: Fault
    matched: int = 0
    hits: int = 0
    tokens: float = 0.0
    filled_at: float | None = None

    def hit(self, at: float, generator: random.Random) -> bool:
        fault = self.fault
        self.matched += 1
        if self.matched <= fault.skip or (fault.count is not None and self.hits >= fault.count):
            return False
        if fault.per_second is not None and not self._exceeds(fault.per_second, at):
            return False
        if fault.probability < 1 and generator.random() >= fault.probability:
            return False
        self.hits += 1
        return True

    def _exceeds(self, per_second: float, at: float) -> bool:
        full = max(per_second, 1.0)
        if self.filled_at is None:
            self.tokens = full
        else:
            self.tokens = min(full, self.tokens + max(0.0, at - self.filled_at) * per_second)
        self.filled_at = at
        if self.tokens >= 1:
            self.tokens -= 1
            return False
        return True


class Faults:
    """The faults that are set, tried in the order in which they were set."""

    def __init__(self, faults: Iterable[Fault] = (), *, seed: int = 0) -> None:
        self._generator = random.Random(seed)
        self._armed = [_Armed(fault) for fault in faults]

    def add(self, *faults: Fault) -> None:
        self._armed += [_Armed(fault) for fault in faults]

    def replace(self, *faults: Fault, seed: int | None = None) -> None:
        """Set exactly these faults. A seed restarts the generator."""
        if seed is not None:
            self._generator.seed(seed)
        self._armed = [_Armed(fault) for fault in faults]

    def clear(self) -> None:
        self._armed = []

    def hits(self, kind: str | None = None) -> int:
        return sum(armed.hits for armed in self._armed if kind is None or armed.fault.kind == kind)

    def decide(self, operation: str, group: str | None, stream: str | None, at: float) -> Fault | None:
        """The fault that hits this call, or None. Delays of `slow` faults are added to the fault that follows them."""
        delay: Fault | None = None
        for armed in self._armed:
            if armed.fault.matches(operation, group, stream) and armed.hit(at, self._generator):
                seconds = armed.fault.seconds + (delay.seconds if delay else 0.0)
                if armed.fault.kind != "slow":
                    return replace(armed.fault, seconds=seconds)
                delay = replace(armed.fault, seconds=seconds)
        return delay

    def as_json(self) -> list[dict[str, object]]:
        return [{**asdict(armed.fault), "hits": armed.hits} for armed in self._armed]
