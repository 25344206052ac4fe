"""A way to a server that can be cut and mended."""

from __future__ import annotations

import contextlib
import socket
import threading

__all__ = ["Proxy"]


class Proxy:
    """Carries connections to a server, until it is cut; the port stays the same.

    Attributes:
        port: Where it listens, on 127.0.0.1.
        carried: How many connections it has carried.
    """

    def __init__(self, host, port):
        self._target = (host, port)
        self._open = set()
        self._lock = threading.Lock()
        self._up = True
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.carried = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if not self._up:
                    client.close()
                    continue
                server = socket.create_connection(self._target)
                self._open |= {client, server}
                self.carried += 1
            for one, other in ((client, server), (server, client)):
                threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)
        self._end(source, target)

    def _end(self, *sockets):
        with self._lock:
            for one in sockets:
                if one in self._open:
                    self._open.discard(one)
                    with contextlib.suppress(OSError):
                        one.shutdown(socket.SHUT_RDWR)
                    one.close()

    def cut(self):
        """Break all connections, and take no more."""
        with self._lock:
            self._up = False
            left = list(self._open)
        self._end(*left)

    def mend(self):
        self._up = True

    def close(self):
        self.cut()
        self._listener.close()
