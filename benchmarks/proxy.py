"""A TCP proxy in front of the sink that can refuse connections, as when CloudWatch's address is unreachable.

It relays bytes from socket to socket inside the kernel, through a pipe, so its own CPU time does not matter.
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
_RESET_ON_CLOSE = b"\1\0\0\0\0\0\0\0"
"""SO_LINGER with 0 seconds: closing the socket sends a reset."""


class Proxy:
    """Has the attributes of a sink that an agent needs: an endpoint, and no certificate."""

    certificate: Path | None = None

    def __init__(self, sink_port: int) -> None:
        self._sink_port = sink_port
        self._connections: set[socket.socket] = set()
        # The port stays bound so that no other process takes it. Connections are refused until the socket listens.
        self._listener = self._bound(0)
        self.port = int(self._listener.getsockname()[1])
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def open(self) -> None:
        self._listener.listen(64)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def refuse(self) -> None:
        """Refuse new connections and reset the existing ones."""
        listener = self._listener
        # Wakes the thread that waits in accept; close alone does not wake it.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                connection.shutdown(socket.SHUT_RDWR)
        self._listener = self._bound(self.port)

    def close(self) -> None:
        self.refuse()
        self._listener.close()

    def _bound(self, port: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        return listener

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._sink_port))
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
            pass  # one side closed the connection, so the other side is closed too
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
def proxy_to(sink_port: int) -> Iterator[Proxy]:
    """A proxy to this port on loopback. It refuses connections until `open` is called."""
    proxy = Proxy(sink_port)
    try:
        yield proxy
    finally:
        proxy.close()
