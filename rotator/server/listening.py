"""Listening: a socket, and uvicorn on it until a signal asks to stop.

Refuses: what is answered (``app``), the engine, which outlives the server so that its owner can flush it.
"""

from __future__ import annotations

import contextlib
import ipaddress
import signal
import socket

import uvicorn

from rotator.errors import MachineError
from rotator.server.door import bracketed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from starlette.types import ASGIApp

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_GRACE_SECS = 5
"""How long open requests may take to end; an answer takes milliseconds."""
_BACKLOG = 128


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach that address; a name other than ``localhost`` could mean any."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_unspecified(host: str) -> bool:
    """Whether the address means every network of the machine, such as ``0.0.0.0``."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_unspecified
    except ValueError:
        return False


def listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections; port 0 is any free one. Raises MachineError when the address cannot be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        message = f"cannot listen on {bracketed(host)}:{port} ({error.strerror}); choose another --host or --port"
        raise MachineError(error.errno, message) from None
    return listener


def url_of(listener: socket.socket) -> str:
    """Where it can be called."""
    host, port = listener.getsockname()[:2]
    return f"http://{bracketed(host)}:{port}"


class Server(uvicorn.Server):
    """uvicorn that stops for SIGINT, SIGTERM and SIGHUP, and then returns instead of dying of them.

    ``stopped_by`` is the signal, None when ``should_exit`` was set by other means.
    """

    stopped_by: int | None = None

    def __init__(self, app: ASGIApp) -> None:
        config = uvicorn.Config(
            app,
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_SECS,
            proxy_headers=False,
        )
        super().__init__(config)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are ours: ``run`` took them before, and gives them back after the engine's owner is done."""
        yield

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        self.force_exit = self.should_exit and number == signal.SIGINT
        self.should_exit = True
        self.stopped_by = number

    def serve_until_stopped(self, listener: socket.socket) -> int | None:
        """Serve on the socket until a signal; which one. Closes the socket. Only for the main thread.

        A signal that was ignored when the program began (``nohup``) stays ignored.
        """
        heeded = [number for number in _STOPPING if signal.getsignal(number) is not signal.SIG_IGN]
        before = {number: signal.signal(number, self._stop) for number in heeded}
        try:
            self.run(sockets=[listener])
        finally:
            listener.close()
            for number, handler in before.items():
                signal.signal(number, handler)
        return self.stopped_by
