from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse, IncompleteRead
from time import monotonic

import pytest

from tests.chaos.proxy import CALM, STORM, Asked, Fault, Proxy, by_chance, dice_of, proxied
from tests.storage.scripted import Answer, ScriptedStore, serving

BODY = bytes(range(256)) * 8
HEADERS = {"Host": "bucket.example", "Authorization": "AWS4-HMAC-SHA256 Signature=00", "Content-Length": "2"}


@pytest.fixture
def server() -> Iterator[ScriptedStore]:
    with serving() as store:
        store.answer(Answer(body=BODY, headers={"ETag": '"e"'}))
        yield store


def ask(proxy: Proxy, method: str = "GET") -> tuple[HTTPResponse, bytes]:
    """Ask for an object, on a connection of its own."""
    connection = HTTPConnection(proxy.endpoint.removeprefix("http://"), timeout=10)
    try:
        connection.request(method, "/bucket/a%20b?x=1", b"ab", headers=HEADERS)
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


@contextmanager
def spoilt(server: ScriptedStore, fault: Fault) -> Iterator[Proxy]:
    """Run a proxy at which every request meets with a fault."""
    with proxied(server.endpoint, lambda _asked, _dice: fault, delay_s=0.2) as proxy:
        yield proxy


def test_request_and_answer_pass_as_they_are(server: ScriptedStore) -> None:
    """The signature covers the host and the escaped path: the server must see what the client has signed."""
    with proxied(server.endpoint, CALM) as proxy:
        answer, body = ask(proxy, "PUT")
    (request,) = server.requests
    assert (request.method, request.path) == ("PUT", "/bucket/a%20b?x=1")
    assert {name: request.headers[name.lower()] for name in HEADERS} == HEADERS
    assert (answer.status, answer.headers["ETag"], body) == (200, '"e"', BODY)
    assert [(one.path, one.fault, one.status) for one in proxy.seen] == [("/bucket/a b", "", 200)]


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [("slow_down", 503, "SlowDown"), ("internal_error", 500, "InternalError"), ("conflict", 409, "Conditional")],
)
def test_errors_are_worded_as_s3_does_and_the_server_sees_nothing(
    server: ScriptedStore, fault: Fault, status: int, code: str
) -> None:
    """A client decides by the code in the body whether to try again."""
    with spoilt(server, fault) as proxy:
        answer, body = ask(proxy)
        assert (answer.status, server.requests) == (status, [])
        assert f"<Code>{code}".encode() in body
        assert proxy.faults() == {fault: 1}


@pytest.mark.parametrize(("fault", "seen"), [("reset_before", 0), ("lost_response", 1)])
def test_connection_is_reset_before_or_after_the_server_has_done_it(
    server: ScriptedStore, fault: Fault, seen: int
) -> None:
    """The client cannot tell the two apart, which is what makes them hard."""
    with spoilt(server, fault) as proxy, pytest.raises(ConnectionResetError):
        ask(proxy)
    assert len(server.requests) == seen


@pytest.mark.parametrize(("fault", "error"), [("truncated", IncompleteRead), ("reset_in_body", OSError)])
def test_body_breaks_off_though_its_length_promised_more(
    server: ScriptedStore, fault: Fault, error: type[Exception]
) -> None:
    """Whoever looks only at the status would take a part for the whole."""
    with spoilt(server, fault) as proxy, pytest.raises(error):
        ask(proxy)


def test_delay_spoils_nothing(server: ScriptedStore) -> None:
    """What comes late is still right."""
    with spoilt(server, "delay") as proxy:
        start = monotonic()
        assert ask(proxy)[1] == BODY
        assert monotonic() - start >= 0.2


def test_server_that_is_gone_is_a_reset(server: ScriptedStore) -> None:
    """The proxy says nothing of its own that a client might take for the server's word."""
    server.answer(Answer(silent=True))
    with proxied(server.endpoint, CALM) as proxy, pytest.raises(ConnectionResetError):
        ask(proxy)


def test_equal_seeds_draw_equal_faults_at_about_the_chances() -> None:
    """A round can be repeated by its seed; conflicts befall conditional uploads only, broken bodies downloads."""
    draw = by_chance(STORM)
    get, put = Asked(method="GET", path="/k"), Asked(method="PUT", path="/k", is_conditional=True)
    first, second = ([draw(get, dice) for _ in range(2000)] for dice in (dice_of(5), dice_of(5)))
    assert first == second
    assert 0.5 * STORM["truncated"] < first.count("truncated") / 2000 < 2 * STORM["truncated"]
    dice = dice_of(6)
    assert set(first) == {*STORM, ""} - {"conflict"}
    assert {draw(put, dice) for _ in range(2000)} == {*STORM, ""} - {"truncated", "reset_in_body"}
