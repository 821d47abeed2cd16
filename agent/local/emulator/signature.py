"""Checks of a request's SigV4 header that need no secret key.

A request without a well-formed signature for the right service is refused as AWS refuses it. The signature itself is
not verified.
"""

import re
import time
from calendar import timegm
from dataclasses import dataclass
from typing import Final

from agent.local.emulator.replies import ServiceError

LONGEST_SKEW_SECONDS: Final = 300
"""Longest difference between the caller's clock and ours (Signature Version 4, read 2026-11)."""

_STAMP: Final = "%Y%m%dT%H%M%SZ"
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/,\s]+)/(?P<day>\d{8})/(?P<region>[a-z0-9-]+)/(?P<service>[a-z0-9-]+)/"
    r"aws4_request, ?SignedHeaders=(?P<headers>[a-z0-9;_-]+), ?Signature=[0-9a-f]{64}"
)


@dataclass(frozen=True, slots=True)
class Caller:
    access_key: str
    region: str


def caller_of(authorization: str | None, date: str | None, service: str) -> Caller:
    """The caller that signed the request. Raises AWS's error for a missing or malformed signature."""
    if authorization is None:
        raise ServiceError("MissingAuthenticationTokenException", "Missing Authentication Token")
    found = _AUTHORIZATION.fullmatch(authorization)
    if found is None or "host" not in found["headers"].split(";"):
        raise ServiceError(
            "IncompleteSignatureException",
            "Authorization header requires 'Credential', 'Signature' and 'SignedHeaders' with the host.",
        )
    if date is None or not date.startswith(found["day"]):
        raise ServiceError(
            "IncompleteSignatureException", "Authorization header requires existence of a matching 'X-Amz-Date' header."
        )
    if found["service"] != service:
        raise ServiceError("InvalidSignatureException", f"Credential should be scoped to correct service: '{service}'.")
    _refuse_skew(date)
    return Caller(found["key"], found["region"])


def _refuse_skew(date: str) -> None:
    try:
        signed_at = timegm(time.strptime(date, _STAMP))
    except ValueError as error:
        raise ServiceError("IncompleteSignatureException", "Date must be in ISO-8601 'basic format'.") from error
    now = int(time.time())
    if abs(now - signed_at) > LONGEST_SKEW_SECONDS:
        is_late = now > signed_at
        state, compared = ("expired", "earlier") if is_late else ("not yet current", "later")
        bound = time.strftime(_STAMP, time.gmtime(now + LONGEST_SKEW_SECONDS * (-1 if is_late else 1)))
        here, sign = time.strftime(_STAMP, time.gmtime(now)), "-" if is_late else "+"
        raise ServiceError(
            "InvalidSignatureException",
            f"Signature {state}: {date} is now {compared} than {bound} ({here} {sign} 5 min.)",
        )
