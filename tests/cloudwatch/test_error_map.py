"""The table of outcomes, row by row: every code, status and silence has one class and one reason."""

import errno
import socket

import pytest
from aiohttp import ClientConnectorDNSError, ClientConnectorError, ClientOSError
from aiohttp.client_reqrep import ConnectionKey
from botocore import exceptions as sdk

from agent.cloudwatch.error_map import BY_CODE, put_error
from agent.errors import Denied, Invalid, Missing, PutError, Refused, Throttled, Unavailable, Unread, WrongToken

KEY = ConnectionKey("logs.example", 443, True, True, None, None, None)
URL = "https://logs.example"


def answered(code: str, status: int = 400, **fields: object) -> sdk.ClientError:
    response = {"Error": {"Code": code, "Message": "said"}, "ResponseMetadata": {"HTTPStatusCode": status}, **fields}
    return sdk.ClientError(response, "PutLogEvents")


def outcome(error: Exception) -> PutError:
    return put_error(error, operation="PutLogEvents", target="falco node-1")


@pytest.mark.parametrize(("code", "status", "kind", "reason"), [
    ("ThrottlingException", 400, Throttled, "throttled"),
    ("Throttling", 400, Throttled, "throttled"),
    ("RequestLimitExceeded", 503, Throttled, "throttled"),
    ("ServiceUnavailableException", 503, Unavailable, "unavailable"),
    ("InternalFailure", 500, Unavailable, "unavailable"),
    ("500", 500, Unavailable, "unavailable"),
    ("502", 502, Unavailable, "unavailable"),
    ("503", 503, Unavailable, "unavailable"),
    ("504", 504, Unavailable, "unavailable"),
    ("OperationAbortedException", 400, Unavailable, "conflict"),
    ("ResourceNotFoundException", 400, Missing, "missing"),
    ("UnrecognizedClientException", 400, Denied, "unknown_key"),
    ("ExpiredToken", 400, Denied, "expired"),
    ("ExpiredTokenException", 400, Denied, "expired"),
    ("InvalidSignatureException", 400, Denied, "signature"),
    ("AccessDeniedException", 400, Denied, "denied"),
    ("InvalidParameterException", 400, Invalid, "invalid"),
    ("LimitExceededException", 400, Refused, "quota"),
    ("InvalidSequenceTokenException", 400, WrongToken, "wrong_token"),
    ("SomethingThatAwsInventsLater", 400, Unread, "unexpected"),
    ("SomethingThatAwsInventsLater", 500, Unavailable, "unavailable"),
    ("", 401, Unavailable, "proxy"),
    ("", 403, Unavailable, "proxy"),
    ("404", 404, Unavailable, "unexpected"),
    ("413", 413, Invalid, "too_large"),
    ("415", 415, Unread, "unexpected"),
    ("429", 429, Throttled, "throttled"),
])  # fmt: skip
def test_each_answer_has_its_outcome(code: str, status: int, kind: type[PutError], reason: str):
    error = outcome(answered(code, status))

    assert (type(error), error.reason) == (kind, reason)
    assert "falco node-1" in str(error)


@pytest.mark.parametrize(("error", "reason"), [
    (TimeoutError(), "timeout"),
    (sdk.ConnectTimeoutError(endpoint_url=URL), "timeout"),
    (sdk.ReadTimeoutError(endpoint_url=URL), "timeout"),
    (sdk.ConnectionClosedError(endpoint_url=URL), "reset"),
    (sdk.SSLError(endpoint_url=URL, error="certificate verify failed"), "tls"),
    (sdk.ProxyConnectionError(proxy_url="http://proxy"), "proxy"),
    (sdk.EndpointConnectionError(endpoint_url=URL, error=ClientConnectorDNSError(KEY, socket.gaierror())), "dns"),
    (sdk.EndpointConnectionError(endpoint_url=URL, error=socket.gaierror(-2, "unknown name")), "dns"),
    (sdk.EndpointConnectionError(
        endpoint_url=URL, error=ClientConnectorError(KEY, OSError(errno.ECONNREFUSED, "refused"))), "refused"),
    (sdk.EndpointConnectionError(
        endpoint_url=URL, error=ClientConnectorError(KEY, OSError(errno.EHOSTUNREACH, "no route"))), "unreachable"),
    (sdk.EndpointConnectionError(endpoint_url=URL, error=ClientOSError(errno.ECONNRESET, "reset")), "reset"),
    (sdk.EndpointConnectionError(endpoint_url=URL, error=ClientOSError(errno.EPIPE, "broken pipe")), "reset"),
    (sdk.EndpointConnectionError(endpoint_url=URL, error=ClientOSError(errno.EIO, "odd")), "connection"),
    (sdk.HTTPClientError(error=ValueError("odd")), "connection"),
])  # fmt: skip
def test_each_silence_has_its_reason(error: Exception, reason: str):
    result = outcome(error)

    assert (type(result), result.reason) == (Unavailable, reason)


def test_the_expected_token_comes_along():
    error = outcome(answered("InvalidSequenceTokenException", expectedSequenceToken="49"))

    assert isinstance(error, WrongToken)
    assert error.expected == "49"


@pytest.mark.parametrize(
    ("code", "label"), [("AccessDeniedException", "denied"), ("x" * 1_000_000, "unexpected"), ("denied!", "unexpected")]
)
def test_the_words_of_an_answer_take_a_bounded_part_of_a_message_and_none_of_a_label(code: str, label: str):
    answer = answered(code)
    answer.response["Error"]["Message"] = "m" * 1_000_000
    error = outcome(answer)

    assert len(str(error)) <= 1000
    assert "falco node-1" in str(error)
    assert error.reason == label


def test_a_token_that_cannot_be_one_is_not_sent_back():
    error = outcome(answered("InvalidSequenceTokenException", expectedSequenceToken="t" * 1_000_000))

    assert isinstance(error, WrongToken)
    assert error.expected is None


def test_what_aws_says_of_an_invalid_batch_is_not_repeated():
    assert "said" not in str(outcome(answered("InvalidParameterException")))
    assert "said" in str(outcome(answered("AccessDeniedException")))


def test_only_known_codes_can_cost_a_batch():
    assert {code for code, (kind, _) in BY_CODE.items() if kind is Invalid} == {
        "InvalidParameterException",
        "InvalidParameterCombination",
        "InvalidParameterValue",
        "ValidationException",
        "ValidationError",
        "SerializationException",
        "RequestEntityTooLargeException",
    }
