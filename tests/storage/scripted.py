"""A store that answers what a test tells it to, to see what the job makes of answers that no good store gives."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One response; `sent_bytes` cuts its body short, `silent` closes the connection without a word.

    `reset` ends it with a reset, `stalls` holds a connection that is cut short, and `unsized` does not say
    how long the body is.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    sent_bytes: int | None = None
    silent: bool = False
    reset: bool = False
    stalls: bool = False
    unsized: bool = False


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked; header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass(kw_only=True)
class ScriptedStore:
    """Gives `answers` in turn, the last one for ever, and remembers what it was asked."""

    endpoint: str = ""
    answers: list[Answer] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    def answer(self, *answers: Answer) -> None:
        """Answer these from now on."""
        self.answers[:] = answers


def error(status: int, code: str, message: str = "no", *, extra: str = "") -> Answer:
    """Return an error as S3 words it."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message>{extra}</Error>"
    return Answer(status=status, body=body.encode())


@contextmanager
def serving() -> Iterator[ScriptedStore]:
    """Run a scripted store on this machine."""
    store = ScriptedStore()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(store))
    store.endpoint = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield store
    server.shutdown()
    server.server_close()


def _handler_of(store: ScriptedStore) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            if "100-continue" in headers.get("expect", ""):
                self.wfile.flush()
            self.rfile.read(int(headers.get("content-length", 0)))
            store.requests.append(Request(method=self.command, path=self.path, headers=headers))
            self._give(store.answers.pop(0) if len(store.answers) > 1 else store.answers[0])

        def _give(self, answer: Answer) -> None:
            self.close_connection = answer.silent or answer.unsized or answer.sent_bytes is not None
            if answer.silent:
                return
            self.send_response_only(answer.status)
            for name, value in _headers_of(answer).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body[: answer.sent_bytes])
                self.wfile.flush()
            _end(self.connection, answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name for it
            """Say nothing."""

    return Handler


def _headers_of(answer: Answer) -> dict[str, str]:
    length = {} if answer.unsized else {"Content-Length": str(len(answer.body))}
    return {"Date": formatdate(usegmt=True), **length, **answer.headers}


def _end(connection: socket.socket, answer: Answer) -> None:
    if answer.stalls:
        connection.recv(1)  # until the client gives up
    if answer.reset:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
