"""Opens the socket of the HTTP server: for `::` one that serves IPv6 and IPv4, as far as the machine has them."""

from __future__ import annotations

import errno
import socket
from typing import Final

BOTH_FAMILIES: Final = "::"

_NO_SUCH_FAMILY: Final = frozenset({errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.EADDRNOTAVAIL, errno.ENOPROTOOPT})
"""Errors of a kernel without IPv6, or with IPv6 switched off."""


def both_families(port: int) -> socket.socket:
    """A socket that is bound to every address of this machine. Raises OSError.

    The Python default for `::` is IPv6 alone, and kubelet asks the pod's first address, which may be IPv4.
    """
    try:
        return _bound(socket.AF_INET6, BOTH_FAMILIES, port)
    except OSError as error:
        if error.errno not in _NO_SUCH_FAMILY:
            raise
    return _bound(socket.AF_INET, "0.0.0.0", port)


def _bound(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listening.bind((host, port))
    except BaseException:
        listening.close()
        raise
    return listening
