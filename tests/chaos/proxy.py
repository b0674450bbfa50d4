"""A proxy between a job and an S3 server that spoils answers and connections, as networks and busy stores do.

Requests go on byte for byte with the ``Host`` that the client has signed, so that its signature holds.
Which of them are spoilt is drawn from a seed; as a job's requests come from several threads, equal
seeds give equally bad networks, and not the same order of events.
"""

import os
import random
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

Fault = Literal[
    "",
    "slow_down",
    "internal_error",
    "conflict",
    "reset_before",
    "lost_response",
    "reset_in_body",
    "truncated",
    "delay",
]
"""What befalls a request; empty for nothing.

    slow_down       503, as a throttling store words it; the server sees nothing
    internal_error  500; the server sees nothing
    conflict        409, for a conditional upload; the server sees nothing
    reset_before    the connection is reset; the server sees nothing
    lost_response   the server does it, and the client sees a reset
    reset_in_body   the connection is reset after some bytes of the body, or none
    truncated       the body ends early, in order, though its length promised more
    delay           all is well, and late
"""

ERRORS: Final[Mapping[Fault, tuple[int, str, str]]] = {
    "slow_down": (503, "SlowDown", "Please reduce your request rate."),
    "internal_error": (500, "InternalError", "We encountered an internal error. Please try again."),
    "conflict": (409, "ConditionalRequestConflict", "A conflicting operation is under way."),
}

UNSEEN: Final = (*ERRORS, "reset_before")
"""The faults of which the server sees nothing."""

Chances = Mapping[Fault, float]
"""How often each fault comes, from 0 to 1 of the requests that it can befall; one request has one at most."""

STORM: Final[Chances] = {
    "slow_down": 0.04,
    "internal_error": 0.02,
    "conflict": 0.1,
    "reset_before": 0.04,
    "lost_response": 0.04,
    "reset_in_body": 0.08,
    "truncated": 0.08,
    "delay": 0.05,
}
CALM: Final[Chances] = {}


_HOP_BY_HOP: Final = ("connection", "keep-alive", "expect", "transfer-encoding", "proxy-connection")
_TIMEOUT_S: Final = 60


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One request: its object's path, what befell it, and the server's status, 0 where it has none."""

    method: str
    path: str
    fault: Fault
    status: int


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request, its path without escapes; `is_conditional` for one that must not overwrite what it does not know."""

    method: str
    path: str
    is_conditional: bool = False


Plan = Callable[[Asked, random.Random], Fault]
"""What shall befall a request."""


@dataclass(kw_only=True)
class Proxy:
    """A running proxy; `seen` grows with every request that has ended, `begun` counts those that have come."""

    endpoint: str = ""
    begun: int = 0
    delay_s: float = 0.5
    seen: list[Exchange] = field(default_factory=list)

    def faults(self) -> Counter[str]:
        """Return how often each fault came."""
        return Counter(one.fault for one in list(self.seen) if one.fault)

    def stored(self, name: str) -> Counter[str]:
        """Return how often the server has stored each object whose last part is `name`."""
        puts = [one for one in list(self.seen) if one.method == "PUT" and one.status == 200]
        return Counter(one.path for one in puts if one.path.endswith(f"/{name}"))


@contextmanager
def proxied(server: str, plan: Plan | Chances, *, seed: int = 0, delay_s: float = 0.5) -> Iterator[Proxy]:
    """Run a proxy in front of `server`, an URL, on a port of this machine; `delay_s` is what a delay takes."""
    draw = plan if callable(plan) else by_chance(plan)
    with _Listener(Proxy(delay_s=delay_s), draw, urlsplit(server).netloc, dice_of(seed)) as listener:
        Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield listener.proxy
        finally:
            listener.shutdown()


def dice_of(seed: int) -> random.Random:
    """Return the dice of a seed."""
    return random.Random(seed)  # noqa: S311 - they keep no secret


def by_chance(chances: Chances) -> Plan:
    """Return a plan that draws each request's fault; what cannot befall it is no fault."""

    def draw(asked: Asked, dice: random.Random) -> Fault:
        value = dice.random()
        for fault, chance in chances.items():
            if value < chance:
                return fault if _can_befall(fault, asked) else ""
            value -= chance
        return ""

    return draw


def _can_befall(fault: Fault, asked: Asked) -> bool:
    if fault == "conflict":
        return asked.method == "PUT" and asked.is_conditional
    return asked.method == "GET" or fault not in ("reset_in_body", "truncated")


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, proxy: Proxy, plan: Plan, upstream: str, dice: random.Random) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.proxy, self.plan, self.upstream, self.dice = proxy, plan, upstream, dice
        self.lock = Lock()
        proxy.endpoint = f"http://127.0.0.1:{self.server_port}"

    def begin(self, asked: Asked) -> Fault:
        """Count a request and draw what befalls it."""
        with self.lock:
            self.proxy.begun += 1
            return self.plan(asked, self.dice)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that were killed leave broken connections."""


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """What the server said; status 0 where it said nothing."""

    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


def _error(status: int, code: str, message: str) -> _Answer:
    text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return _Answer(status=status, headers=(("Content-Type", "application/xml"),), body=text.encode())


class _Handler(BaseHTTPRequestHandler):
    """One connection of a client's, and one to the server for it."""

    protocol_version = "HTTP/1.1"
    timeout = _TIMEOUT_S
    server: _Listener
    _upstream: HTTPConnection | None = None

    def _serve(self) -> None:
        path = unquote(urlsplit(self.path).path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        is_conditional = "If-Match" in self.headers or "If-None-Match" in self.headers
        asked = Asked(method=self.command, path=path, is_conditional=is_conditional)
        fault = self.server.begin(asked)
        answer = _Answer() if fault in UNSEEN else self._forward(body)
        exchange = Exchange(method=self.command, path=path, fault=fault, status=answer.status)
        self.server.proxy.seen.append(exchange)  # before the client can know
        self._respond(fault, answer)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _serve  # noqa: N815 - the base class looks for these names

    def _respond(self, fault: Fault, answer: _Answer) -> None:
        if fault in ERRORS:
            self._pass_on(_error(*ERRORS[fault]))
        elif fault in ("reset_before", "lost_response") or not answer.status:
            self._reset()
        elif fault in ("reset_in_body", "truncated") and answer.body:
            self._cut(answer, is_reset=fault == "reset_in_body")
        else:
            time.sleep(self.server.proxy.delay_s if fault == "delay" else 0)
            self._pass_on(answer)

    def _forward(self, body: bytes) -> _Answer:
        for _ in range(2):  # the server may have closed an idle connection
            with suppress(OSError, HTTPException):
                return self._ask(body)
            self._hang_up()
        return _Answer()

    def _ask(self, body: bytes) -> _Answer:
        if self._upstream is None:
            self._upstream = HTTPConnection(self.server.upstream, timeout=_TIMEOUT_S)
        self._upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _HOP_BY_HOP:
                self._upstream.putheader(name, value)
        self._upstream.endheaders(body)
        said = self._upstream.getresponse()
        return _Answer(status=said.status, headers=tuple(said.getheaders()), body=said.read())

    def _pass_on(self, answer: _Answer, *, sent_bytes: int | None = None) -> None:
        """Send an answer; one that is cut still promises the length of the whole."""
        self.send_response_only(answer.status)
        kept = {name.title(): value for name, value in answer.headers if name.lower() not in _HOP_BY_HOP}
        for name, value in {"Content-Length": str(len(answer.body)), **kept}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body[:sent_bytes])

    def _cut(self, answer: _Answer, *, is_reset: bool) -> None:
        self._pass_on(answer, sent_bytes=self.server.dice.randrange(len(answer.body)))
        self.close_connection = True
        if is_reset:
            self._reset()

    def _reset(self) -> None:
        """End the connection with an RST: a socket that lingers for no time discards what is left."""
        self.close_connection = True
        with suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())

    def _hang_up(self) -> None:
        if self._upstream is not None:
            self._upstream.close()
        self._upstream = None

    def finish(self) -> None:
        """Leave no connection to the server behind."""
        self._hang_up()
        with suppress(OSError, ValueError):
            super().finish()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name for it
        """Say nothing."""
