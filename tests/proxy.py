"""A proxy on the loopback that does to connections what bad networks and bad servers do."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

_BLOCK = 1 << 14


class Proxy:
    """Passes connections on to one server.

    Attributes:
        room_bytes: how many bytes pass towards the server until a connection is cut; None for all.
        answer: given to every request instead of the server's; None for none.
        answers_left: to how many requests it is given; None for all.
        pause_seconds: how long it rests after every block of 16 KiB towards the server.
        is_silent: takes what comes, and answers nothing.
        passed_bytes: how many bytes passed towards the server, in all connections together.
        connections: how many there were.
    """

    def __init__(self, port: int) -> None:
        self.room_bytes: int | None = None
        self.answer: bytes | None = None
        self.answers_left: int | None = None
        self.pause_seconds = 0.0
        self.is_silent = False
        self.passed_bytes = 0
        self.connections = 0
        self._server = ("127.0.0.1", port)
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def close(self) -> None:
        """Cut every connection, and take no more."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.cut()
        self._thread.join()

    def cut(self) -> None:
        """Cut every connection there is."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            self._open.add(client)
            if self.is_silent:
                while client.recv(_BLOCK):
                    pass
            elif self.answer is not None and self.answers_left != 0:
                self.answers_left = None if self.answers_left is None else self.answers_left - 1
                client.recv(_BLOCK)
                client.sendall(self.answer)
            else:
                self._pass(client)
        self._open.discard(client)

    def _pass(self, client: socket.socket) -> None:
        room = self.room_bytes
        with socket.create_connection(self._server) as server:
            back = threading.Thread(target=_copy, args=(server, client), daemon=True)
            back.start()
            with contextlib.suppress(OSError):
                while data := client.recv(_BLOCK if room is None else min(_BLOCK, room)):
                    server.sendall(data)
                    self.passed_bytes += len(data)
                    time.sleep(self.pause_seconds)
                    room = None if room is None else room - len(data)
                    if room == 0:
                        break
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
            back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_BLOCK):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def proxying(port: int) -> Iterator[Proxy]:
    """A proxy to a port of the loopback, until the end of the block."""
    proxy = Proxy(port)
    try:
        yield proxy
    finally:
        proxy.close()
