"""The way to the sink, which can be shut: then connections are refused, as when CloudWatch's address is unreachable.

Bytes go from socket to socket inside the kernel, through a pipe; the relay's own CPU is no matter.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SPLICE_BYTES = 1 << 20
_LINGER_NOT = b"\1\0\0\0\0\0\0\0"
"""SO_LINGER on, 0 seconds: what is cut is reset, not ended in good order."""


class Door:
    """Looks like a sink to an agent: it has an endpoint, and no certificate."""

    certificate: Path | None = None

    def __init__(self, behind: int) -> None:
        self._behind = behind
        self._connections: set[socket.socket] = set()
        # Bound all the time, so that nobody else gets the port; connections are refused until it listens.
        self._listener = self._bound(0)
        self.port = int(self._listener.getsockname()[1])
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def open(self) -> None:
        self._listener.listen(64)
        threading.Thread(target=self._let_in, args=(self._listener,), daemon=True).start()

    def shut(self) -> None:
        """Cuts what is under way, too."""
        listener = self._listener
        # Wakes the thread that waits in accept, which close alone does not.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
                connection.shutdown(socket.SHUT_RDWR)
        self._listener = self._bound(self.port)

    def close(self) -> None:
        self.shut()
        self._listener.close()

    def _bound(self, port: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        return listener

    def _let_in(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._behind))
            self._connections |= {near, far}
            for source, target in ((near, far), (far, near)):
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._relay, args=(source, target), daemon=True).start()

    def _relay(self, source: socket.socket, target: socket.socket) -> None:
        reading, writing = os.pipe()
        try:
            while moved := os.splice(source.fileno(), writing, _SPLICE_BYTES):
                while moved:
                    moved -= os.splice(reading, target.fileno(), moved)
        except (OSError, ValueError):
            pass  # one side is gone, so the other goes
        finally:
            os.close(reading)
            os.close(writing)
            for end in (source, target):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            if source in self._connections and target in self._connections:
                self._connections -= {source, target}
            else:
                source.close()
                target.close()


@contextmanager
def door(behind: int) -> Iterator[Door]:
    """Shut at first; leads to that port of loopback."""
    it = Door(behind)
    try:
        yield it
    finally:
        it.close()
