"""Maps the errors of the SDK to PutError, whose class says what to do next. Pure.

Only the AWS error code, the HTTP status and the exception type decide, never the text of a message. An unknown code or
status is retried and never blamed on the batch: a proxy that answers every request with 404 must not cost an alert.
"""

from __future__ import annotations

import errno
import socket
from typing import Any, TypeVar

import aiohttp
from botocore import exceptions as sdk
from botocore.parsers import ResponseParserError

from agent.cloudwatch.response_check import token_or_none
from agent.errors import (
    Denied,
    Invalid,
    Missing,
    PutError,
    Refused,
    Throttled,
    Unavailable,
    Unread,
    WrongToken,
    shortened,
)

FOREIGN_ERRORS = (sdk.ClientError, sdk.BotoCoreError, ResponseParserError, TimeoutError)
"""The errors that a call through the SDK raises for faults of the network or of the endpoint."""

_LONGEST_CODE = 100
"""Characters of an unknown error code that a message quotes. The codes of AWS are shorter."""

_E = TypeVar("_E", bound=BaseException)
_Kind = type[Throttled | Unavailable | Denied | Missing | Invalid | Refused]

# Error codes of CloudWatch Logs and STS, and those common to all AWS services (references read 2026-11). CloudWatch
# Logs does not model throttling, authentication and internal failures, so botocore has no classes for them.
BY_CODE: dict[str, tuple[_Kind, str]] = {
    "ThrottlingException": (Throttled, "throttled"),
    "Throttling": (Throttled, "throttled"),
    "ThrottledException": (Throttled, "throttled"),
    "RequestLimitExceeded": (Throttled, "throttled"),
    "RequestThrottled": (Throttled, "throttled"),
    "RequestThrottledException": (Throttled, "throttled"),
    "TooManyRequestsException": (Throttled, "throttled"),
    "ServiceUnavailableException": (Unavailable, "unavailable"),
    "ServiceUnavailable": (Unavailable, "unavailable"),
    "InternalFailure": (Unavailable, "unavailable"),
    "InternalServerError": (Unavailable, "unavailable"),
    "InternalServerException": (Unavailable, "unavailable"),
    "InternalError": (Unavailable, "unavailable"),
    "IDPCommunicationError": (Unavailable, "unavailable"),
    "RequestTimeout": (Unavailable, "timeout"),
    "RequestTimeoutException": (Unavailable, "timeout"),
    "OperationAbortedException": (Unavailable, "conflict"),
    "ExpiredToken": (Denied, "expired"),
    "ExpiredTokenException": (Denied, "expired"),
    "RequestExpired": (Denied, "expired"),
    "UnrecognizedClientException": (Denied, "unknown_key"),
    "InvalidClientTokenId": (Denied, "unknown_key"),
    "InvalidAccessKeyId": (Denied, "unknown_key"),
    "InvalidSignatureException": (Denied, "signature"),
    "SignatureDoesNotMatch": (Denied, "signature"),
    "IncompleteSignature": (Denied, "signature"),
    "IncompleteSignatureException": (Denied, "signature"),
    "MissingAuthenticationToken": (Denied, "signature"),
    "MissingAuthenticationTokenException": (Denied, "signature"),
    "RequestTimeTooSkewed": (Denied, "signature"),
    "AccessDeniedException": (Denied, "denied"),
    "AccessDenied": (Denied, "denied"),
    "NotAuthorized": (Denied, "denied"),
    "UnauthorizedOperation": (Denied, "denied"),
    "OptInRequired": (Denied, "denied"),
    "SubscriptionRequiredException": (Denied, "denied"),
    "RegionDisabledException": (Denied, "denied"),
    "InvalidIdentityToken": (Denied, "identity_token"),
    "IDPRejectedClaim": (Denied, "identity_token"),
    "ResourceNotFoundException": (Missing, "missing"),
    "InvalidParameterException": (Invalid, "invalid"),
    "InvalidParameterCombination": (Invalid, "invalid"),
    "InvalidParameterValue": (Invalid, "invalid"),
    "ValidationException": (Invalid, "invalid"),
    "ValidationError": (Invalid, "invalid"),
    "SerializationException": (Invalid, "invalid"),
    "RequestEntityTooLargeException": (Invalid, "too_large"),
    # KMS (references of Sign and Verify, read 2026-11).
    "NotFoundException": (Refused, "kms_key"),
    "DisabledException": (Refused, "kms_key"),
    "KMSInvalidStateException": (Refused, "kms_key"),
    "InvalidKeyUsageException": (Refused, "kms_key"),
    "KeyUnavailableException": (Unavailable, "unavailable"),
    "KMSInternalException": (Unavailable, "unavailable"),
    "DependencyTimeoutException": (Unavailable, "timeout"),
    # The maximum of a resource, never a rate: botocore lists it as throttling and would retry it at once.
    "LimitExceededException": (Refused, "quota"),
    # For example FilterLogEvents on a group of the class INFREQUENT_ACCESS.
    "InvalidOperationException": (Refused, "unsupported"),
}

# Only for answers without a known code: a load balancer or a proxy answered instead of AWS.
BY_STATUS: dict[int, tuple[_Kind, str]] = {
    400: (Unread, "unexpected"),
    # AWS names a code in each refusal of its own, so IAM is not the cause.
    401: (Unavailable, "proxy"),
    403: (Unavailable, "proxy"),
    407: (Unavailable, "proxy"),
    408: (Unavailable, "timeout"),
    413: (Invalid, "too_large"),  # a proxy's own limit on bodies: a smaller batch passes
    415: (Unread, "unexpected"),
    429: (Throttled, "throttled"),
}

_REMEDIES: dict[tuple[_Kind, str], str] = {
    (Denied, "denied"): "allow the action for this identity, see the IAM policy in the documentation",
    (Denied, "expired"): "wait for the credentials to be renewed, or renew them",
    (Denied, "unknown_key"): "the key is unknown to AWS or belongs to another partition: replace it",
    (Denied, "signature"): "check the secret key and the clock of this node",
    (Denied, "identity_token"): "check the role's trust policy and the cluster's OIDC provider",
    (Missing, "missing"): "it is created when cloudwatch.create is true",
    (Refused, "kms_key"): "the key must exist in this region, be enabled, and be of the usage SIGN_VERIFY",
    (Refused, "quota"): "a limit of the account is reached: raise it in Service Quotas, or remove what is unused",
    (Refused, "unsupported"): "the log group does not support this operation: check the group's class",
    (Unavailable, "tls"): "the certificate is not trusted: set AWS_CA_BUNDLE, or repair the endpoint's certificate",
    (Unavailable, "dns"): "the name does not resolve: check cloudwatch.region, the endpoint and the node's DNS",
    (Unavailable, "proxy"): "a proxy refuses the connection, not IAM: check HTTPS_PROXY and NO_PROXY",
}

_BY_TYPE: tuple[tuple[type[BaseException], str], ...] = (
    # The first match counts, so a subclass stands before its base class.
    (sdk.ConnectTimeoutError, "timeout"),
    (sdk.ReadTimeoutError, "timeout"),
    (TimeoutError, "timeout"),
    (sdk.SSLError, "tls"),
    (sdk.ProxyConnectionError, "proxy"),
    (sdk.ConnectionClosedError, "reset"),
)


def put_error(error: Exception, *, operation: str, target: str) -> PutError:
    """The PutError for one of `FOREIGN_ERRORS`. `target` is the group or stream of the request."""
    if isinstance(error, sdk.ClientError):
        return _from_answer(error, target=target)
    reason = _reason_without_answer(error)
    remedy = _remedy(Unavailable, reason)
    answered = _proxy_status(error)
    why = f"the proxy answered {answered}" if answered else f"{reason} ({type(error).__name__})"
    return Unavailable(f"{operation} for {target}: no answer, {why}{remedy}", reason=reason)


def code_of(error: BaseException) -> str | None:
    return error.response.get("Error", {}).get("Code") if isinstance(error, sdk.ClientError) else None


def without_body(error: _E) -> _E:
    """The same error and its causes, without references to the request.

    Their tracebacks hold the body of the request, and a frame of aiobotocore holds the error. This cycle would keep a
    megabyte for each failed put until the garbage collector runs.
    """
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        link = waiting.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        link.__traceback__ = None
        if isinstance(link, sdk.HTTPClientError):
            link.request = None
        waiting += [link.__cause__, link.__context__]
    return error


def _from_answer(error: Any, *, target: str) -> PutError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    asked = f"{error.operation_name} for {target}"
    if code == "InvalidSequenceTokenException":
        expected = token_or_none(error.response.get("expectedSequenceToken"))
        return WrongToken(f"{asked}: the endpoint enforces sequence tokens", expected=expected)
    kind, reason = BY_CODE.get(code) or _by_status(status)
    # The message about an invalid batch may quote the batch, and the text of an alert never goes into our log.
    said = "" if kind is Invalid else shortened(str(error.response.get("Error", {}).get("Message") or ""))
    shown = f"HTTP {status}" if code in ("", str(status)) else f"{shortened(code, _LONGEST_CODE)} (HTTP {status})"
    return kind(f"{asked}: {shown}{f', {said!r}' if said else ''}{_remedy(kind, reason)}", reason=reason)


def _by_status(status: int) -> tuple[_Kind, str]:
    if status >= 500:
        return Unavailable, "unavailable"
    return BY_STATUS.get(status, (Unavailable, "unexpected"))


def _reason_without_answer(error: BaseException) -> str:
    for kind, reason in _BY_TYPE:
        if isinstance(error, kind):
            return reason
    behind = error.kwargs.get("error") if isinstance(error, sdk.BotoCoreError) else None
    if isinstance(behind, aiohttp.ClientConnectorDNSError | socket.gaierror):
        return "dns"
    if isinstance(behind, OSError) and behind.errno == errno.ECONNREFUSED:
        return "refused"
    if isinstance(behind, aiohttp.ClientConnectorError):
        return "unreachable"
    if isinstance(behind, OSError) and behind.errno in (errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED):
        return "reset"
    return "connection"


def _proxy_status(error: BaseException) -> int | None:
    """The status with which the proxy refused to connect; None: it did not answer."""
    behind = error.kwargs.get("error") if isinstance(error, sdk.BotoCoreError) else None
    return behind.status if isinstance(behind, aiohttp.ClientHttpProxyError) else None


def _remedy(kind: _Kind, reason: str) -> str:
    return f"; {remedy}" if (remedy := _REMEDIES.get((kind, reason))) else ""
