"""Problems in the environment variables that the SDK reads. Pure, but for looking at the named files.

The SDK meets such a value only when it makes a request, as an odd exception or as "no answer". Here each problem is a
sentence that names the variable, before the first request.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

_HEADER_VARIABLES: Final = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_PROFILE",
)
_NUMBER_VARIABLES: Final = ("AWS_METADATA_SERVICE_TIMEOUT", "AWS_METADATA_SERVICE_NUM_ATTEMPTS", "AWS_MAX_ATTEMPTS")
_PROXY_VARIABLES: Final = ("HTTP_PROXY", "HTTPS_PROXY")
_BUNDLE_VARIABLES: Final = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
_URL_VARIABLES: Final = (
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS",
    "AWS_ENDPOINT_URL_STS",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
)


def problems(environment: Mapping[str, str]) -> list[str]:
    """One sentence for each variable with an unusable value; never the value of a key or a password."""
    return [*_unprintable(environment), *_numbers(environment), *_urls(environment), *_bundles(environment)]


def _unprintable(environment: Mapping[str, str]) -> Iterator[str]:
    for name in (*_HEADER_VARIABLES, *_URL_VARIABLES, *_proxies(environment)):
        value = environment.get(name, "")
        if not (value.isascii() and value.isprintable()) or value != value.strip():
            yield f"{name}: holds a line break, a space at an end or a character that is not ASCII; remove it"


def _numbers(environment: Mapping[str, str]) -> Iterator[str]:
    for name in _NUMBER_VARIABLES:
        value = environment.get(name)
        if value is not None and not (value.strip().isascii() and value.strip().isdecimal() and int(value[:9])):
            yield f"{name}: must be a whole number above 0, got {value!r}"


def _urls(environment: Mapping[str, str]) -> Iterator[str]:
    for name in _URL_VARIABLES:
        value = environment.get(name)
        if value and not _is_url(value):
            yield f"{name}: must be a URL such as https://logs.eu-west-1.amazonaws.com, with http:// or https://"
    for name in _proxies(environment):
        value = environment.get(name)
        if value and not _is_url(value if "://" in value else f"http://{value}"):
            yield f"{name}: must be the URL of a proxy such as http://proxy.example.com:3128"


def _bundles(environment: Mapping[str, str]) -> Iterator[str]:
    for name in _BUNDLE_VARIABLES:
        path = environment.get(name)
        if not path:
            continue
        try:
            # A context without the certificates of the system, which take 40 ms to load. A directory can be loaded too.
            place = "capath" if Path(path).is_dir() else "cafile"
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(**{place: path})
        except ssl.SSLError:
            yield f"{name}: {path!r} holds no certificate"
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            yield f"{name}: {path!r} cannot be used as a bundle of certificates ({reason})"


def _proxies(environment: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(name for name in environment if name.upper() in _PROXY_VARIABLES)


def _is_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is not a number, an open bracket
        return False
