"""The SigV4 header of a request, as far as it can be judged without knowing anyone's secret key.

Promises that a request without a well-formed signature for the right service is refused as AWS refuses it. The
signature itself is not verified.
"""

import re
from dataclasses import dataclass

from agent.local.cloudwatch.replies import ServiceError

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/,\s]+)/(?P<day>\d{8})/(?P<region>[a-z0-9-]+)/(?P<service>[a-z0-9-]+)/"
    r"aws4_request, ?SignedHeaders=(?P<headers>[a-z0-9;_-]+), ?Signature=[0-9a-f]{64}"
)


@dataclass(frozen=True, slots=True)
class Caller:
    access_key: str
    region: str


def caller_of(authorization: str | None, date: str | None, service: str) -> Caller:
    """Who signed. Raises the error AWS answers to a missing or malformed signature."""
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
    return Caller(found["key"], found["region"])
