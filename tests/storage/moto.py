"""moto's S3, served from this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, Thread
from typing import Any

from moto.server import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server


@contextmanager
def serving_moto() -> Iterator[str]:
    """Run an S3 on this machine, and give its URL."""
    app = _InOneStep()
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=MotoRequestHandler)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class _InOneStep:
    """moto, which looks at an object and then puts another, as S3 does it where a put has a condition: in one step."""

    def __init__(self) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._putting = Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        is_conditional = "HTTP_IF_MATCH" in environ or "HTTP_IF_NONE_MATCH" in environ
        if environ["REQUEST_METHOD"] not in ("PUT", "POST") or not is_conditional:
            return self._moto(environ, start_response)
        with self._putting:
            return self._moto(environ, start_response)
