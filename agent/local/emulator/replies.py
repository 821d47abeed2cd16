"""The errors of the service as CloudWatch Logs words them.

A module that finds a broken rule raises the error; the server turns it into an HTTP response. The texts follow AWS's
own texts where those are publicly known. Clients must rely on the code alone.
"""


class ServiceError(Exception):
    """A refusal with AWS's error code: `__type` on the wire, `status` as HTTP status, `fields` beside the message."""

    def __init__(self, code: str, message: str, *, status: int = 400, **fields: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.fields = fields


def invalid_parameter(message: str) -> ServiceError:
    return ServiceError("InvalidParameterException", message)


def invalid_member(value: object, name: str, constraint: str) -> ServiceError:
    shown = "null" if value is None else f"'{value}'"
    return invalid_parameter(
        f"1 validation error detected: Value {shown} at '{name}' failed to satisfy constraint: {constraint}"
    )


def serialization(message: str) -> ServiceError:
    """The body violates the protocol: invalid JSON, or a wrong JSON type of a member."""
    return ServiceError("SerializationException", message)


def not_found(what: str) -> ServiceError:
    return ServiceError("ResourceNotFoundException", f"The specified {what} does not exist.")


def already_exists(what: str) -> ServiceError:
    return ServiceError("ResourceAlreadyExistsException", f"The specified {what} already exists")


def invalid_sequence_token(expected: str | None) -> ServiceError:
    message = f"The given sequenceToken is invalid. The next expected sequenceToken is: {expected or 'null'}"
    if expected is None:
        return ServiceError("InvalidSequenceTokenException", message)
    return ServiceError("InvalidSequenceTokenException", message, expectedSequenceToken=expected)


def data_already_accepted(expected: str) -> ServiceError:
    message = (
        "The given batch of log events has already been accepted. "
        f"The next batch can be sent with sequenceToken: {expected}"
    )
    return ServiceError("DataAlreadyAcceptedException", message, expectedSequenceToken=expected)
