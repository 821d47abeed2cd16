"""Makes CIDRs in NO_PROXY work, which Python's libraries ignore: they compare names alone.

People on EKS write the service CIDR there (`172.20.0.0/16`), as Go programs allow. An address that a CIDR contains is
therefore added to the variable by itself. The libraries read the variable for each connection.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from ipaddress import ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

VARIABLES: Final = ("no_proxy", "NO_PROXY")
"""The libraries prefer the first."""


def exempt_from_proxy(environ: MutableMapping[str, str], url: str) -> None:
    """Adds the address of this URL to NO_PROXY if one of its CIDRs contains the address."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return
    for variable in VARIABLES:
        if variable in environ:
            environ[variable] = expanded(environ[variable], host)


def expanded(no_proxy: str, host: str) -> str:
    """The value with the host, if the host is an address that a CIDR of the value contains."""
    entries = [entry.strip() for entry in no_proxy.split(",")]
    try:
        address = ip_address(host)
    except ValueError:
        return no_proxy
    names = [str(address)] if address.version == 4 else [host, f"[{host}]"]
    missing = [name for name in names if name not in entries]
    if not missing or not any(_contains(entry, host) for entry in entries if "/" in entry):
        return no_proxy
    return ",".join([no_proxy, *missing])


def _contains(cidr: str, host: str) -> bool:
    try:
        return ip_address(host) in ip_network(cidr, strict=False)
    except ValueError:
        return False
