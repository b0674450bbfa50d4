import hashlib
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from botocore.response import StreamingBody
from urllib3.exceptions import SSLError

from job.errors import BadInput, JobError, StorageError
from job.records import StoredObject
from job.storage.bodies import Body, Changed, Restarts
from job.storage.checksums import Damaged
from job.storage.retrying import RetryBudget

KIB = 1 << 10
DATA = bytes(range(256)) * 4 * 64  # 64 KiB
ETAG = '"one"'

Fault = Callable[[], Exception]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("job.storage.retrying.time.sleep", lambda _: None)


class Line:
    """An object behind a line that breaks after every `reach` bytes, with each of `faults` in turn."""

    def __init__(self, data: bytes, reach: int, *faults: Fault, ranges: bool = True) -> None:
        self.data, self.reach, self.faults, self.ranges = data, reach, faults or (ConnectionResetError,), ranges
        self.asked: list[dict[str, str]] = []

    def get(self, conditions: Mapping[str, str]) -> dict[str, Any]:
        """Answer as S3 does, if it knows ranges."""
        self.asked.append(dict(conditions))
        first, _, last = conditions.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        start, end = (int(first), int(last or len(self.data) - 1)) if self.ranges else (0, len(self.data) - 1)
        rest = self.data[start : end + 1]
        answer = {"ETag": ETAG, "Body": StreamingBody(Breaking(rest, self), len(rest)), "ContentLength": len(rest)}
        return answer | ({"ContentRange": f"bytes {start}-{end}/{len(self.data)}"} if start or last else {})


class Breaking(BytesIO):
    """Bytes that end with an error."""

    def __init__(self, data: bytes, line: Line) -> None:
        super().__init__(data)
        self.line = line

    def read(self, amount: int | None = -1, /) -> bytes:
        """Give a little, and break when the line's reach is used up."""
        room = self.line.reach - self.tell()
        if room <= 0:
            fault = self.line.faults[len(self.line.asked) % len(self.line.faults)]
            raise fault()
        return super().read(min(amount if amount and amount > 0 else room, room, 16 * KIB))


def listed(data: bytes = DATA, **changes: Any) -> StoredObject:
    return replace(StoredObject(key="key", size_bytes=len(data), etag=ETAG), **changes)


def read(line: Line, stored: StoredObject | None = None) -> bytes:
    return b"".join(Body(line.get, RetryBudget(), stored or listed(line.data)).chunks())


def tls_broken() -> Exception:
    return SSLError("bad record mac")


def timed_out() -> Exception:
    error: Exception = ReadTimeoutError(endpoint_url="http://store")
    return error


def test_a_line_that_breaks_all_the_time_and_moves_on_is_no_failure() -> None:
    """Two hundred breaks, each after 100 KiB: a large object over a bad line comes in the end, asked for once each."""
    data = DATA * 320  # 20 MiB
    line = Line(data, 100 * KIB, ConnectionResetError, tls_broken, timed_out)
    assert read(line) == data
    assert len(line.asked) > 200
    assert line.asked[1] == {"Range": f"bytes={100 * KIB}-", "IfMatch": ETAG}


def test_a_line_that_brings_nothing_is_given_up_after_eight_tries() -> None:
    """Bytes that trickle do not count as progress: the line would hold a worker for ever."""
    line = Line(DATA, 10)
    with pytest.raises(StorageError, match=r"broke 8 times, the last time at byte 80 .*8 broken connections"):
        read(line)
    assert len(line.asked) == 8


def test_tries_are_counted_from_the_last_progress() -> None:
    """Seven breaks in a row, and after some progress seven more, are survived."""
    data = DATA * 4
    line = Line(data, 0)

    def get(conditions: Mapping[str, str]) -> dict[str, Any]:
        line.reach = 0 if len(line.asked) % 8 < 7 else 80 * KIB
        return line.get(conditions)

    assert b"".join(Body(get, RetryBudget(), listed(data)).chunks()) == data


def test_an_empty_budget_ends_it_at_once() -> None:
    """Where the whole job has met nothing but faults, one more is not tried eight times."""
    line = Line(DATA, 10)
    with pytest.raises(StorageError, match="broke 1 times"):
        b"".join(Body(line.get, RetryBudget(capacity=0), listed()).chunks())


def test_a_body_that_ends_early_in_silence_is_gone_on_with() -> None:
    """A proxy that closes in order in the middle gives no error: what is there is held against the size."""
    pieces = iter([DATA[: 20 * KIB], DATA[20 * KIB : 50 * KIB], DATA[50 * KIB :]])

    def get(conditions: Mapping[str, str]) -> dict[str, Any]:
        piece = next(pieces)
        start = int(conditions.get("Range", "bytes=0-")[6:-1])
        span = {"ContentRange": f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"} if start else {}
        return {"ETag": ETAG, "Body": StreamingBody(BytesIO(piece), None), **span}

    assert b"".join(Body(get, RetryBudget(), listed()).chunks()) == DATA


def test_a_store_that_knows_no_ranges_is_read_from_its_first_byte() -> None:
    """Where the answer to a range is everything, what is there already is passed over and not appended."""
    line = Line(DATA * 8, 200 * KIB, ranges=False)
    line_breaks = iter([200 * KIB, 1 << 30])

    def get(conditions: Mapping[str, str]) -> dict[str, Any]:
        line.reach = next(line_breaks)
        return line.get(conditions)

    assert b"".join(Body(get, RetryBudget(), listed(line.data)).chunks()) == line.data


def test_an_answer_that_begins_too_late_is_a_failure() -> None:
    """A store that leaves bytes out is not believed."""

    def get(_: Mapping[str, str]) -> dict[str, Any]:
        return {"Body": StreamingBody(BytesIO(b"x"), 1), "ContentRange": "bytes 5-5/6", "ETag": ETAG}

    with pytest.raises(StorageError, match="another range"):
        b"".join(Body(get, RetryBudget(), StoredObject(key="key", size_bytes=6, etag=ETAG)).chunks())


@pytest.mark.parametrize(
    "second",
    [{"ETag": '"two"'}, {"ContentRange": f"bytes 20480-99999/{100_000}"}],
    ids=["another etag", "another size"],
)
def test_a_store_that_ignores_the_condition_is_caught(second: dict[str, str]) -> None:
    """Two versions are never mixed: each answer is held against the first."""
    line = Line(DATA, 20 * KIB)

    def get(conditions: Mapping[str, str]) -> dict[str, Any]:
        answer = line.get(conditions)
        return answer | (second if len(line.asked) > 1 else {})

    with pytest.raises(Changed):
        b"".join(Body(get, RetryBudget(), listed()).chunks())


@pytest.mark.parametrize(("status", "position"), [(412, 0), (412, 20 * KIB), (416, 20 * KIB)])
def test_an_object_that_is_no_longer_there_has_changed(status: int, position: int) -> None:
    """A condition that is not met and a range beyond the end both say that it is another version now."""
    line = Line(DATA, 20 * KIB)

    def get(conditions: Mapping[str, str]) -> dict[str, Any]:
        if position == len(line.asked) * 20 * KIB:
            raise ClientError({"ResponseMetadata": {"HTTPStatusCode": status}}, "GetObject")
        return line.get(conditions)

    with pytest.raises(Changed):
        b"".join(Body(get, RetryBudget(), listed()).chunks())


@pytest.mark.parametrize("limit_bytes", [1, 20 * KIB, 64 * KIB, 100 * KIB])
def test_the_first_bytes_alone_are_asked_for(limit_bytes: int) -> None:
    """A look at an object's head costs its head, over as many connections as it takes; no checksum is of it."""
    line = Line(DATA, 30 * KIB)
    body = Body(line.get, RetryBudget(), StoredObject(key="key", size_bytes=0), limit_bytes)
    assert b"".join(body.chunks())[:limit_bytes] == DATA[:limit_bytes]
    assert line.asked[0] == {"Range": f"bytes=0-{limit_bytes - 1}"}
    assert body.verified_by == ()


@pytest.mark.parametrize("reach", [1 << 30, 20 * KIB])
def test_a_checksum_is_compared_over_all_connections(reach: int) -> None:
    """What a user says and what the store says are both compared, in one piece or in many."""
    line = Line(DATA, reach)
    etag = f'"{hashlib.md5(DATA, usedforsecurity=False).hexdigest()}"'

    def get(conditions: Mapping[str, str]) -> dict[str, Any]:
        return line.get(conditions) | {"ETag": etag}

    stored = listed(etag=etag, sha256=hashlib.sha256(DATA).hexdigest())
    body = Body(get, RetryBudget(), stored)
    assert b"".join(body.chunks()) == DATA
    assert sorted(body.verified_by) == ["md5", "sha256"]
    wrong = Body(get, RetryBudget(), listed(etag=etag, sha256="0" * 64))
    with pytest.raises(Damaged, match="sha256"):
        b"".join(wrong.chunks())


def test_three_changes_are_borne_and_the_fourth_names_both_etags() -> None:
    """What never rests is its owner's fault."""
    restarts = Restarts('"one"')
    for number in range(3):
        restarts.after_change(f'"{number}"', "there")
    with pytest.raises(BadInput, match=r'each of 4 reads; it was listed as "one" and last met as "last"'):
        restarts.after_change('"last"', "there")


@pytest.mark.parametrize(
    ("actual", "kind", "said"),
    [
        (["bad", "bad"], BadInput, "the object is damaged: its md5 is bad, and good was expected, 2 times"),
        (["a", "b", "a"], BadInput, "the object is damaged"),
        (["a", "b", "c"], StorageError, "each of 3 times in another way"),
    ],
)
def test_damage_is_the_sources_or_the_lines(actual: list[str], kind: type[JobError], said: str) -> None:
    """The same wrong bytes twice are what is stored; other ones each time are made on the way, which may mend."""
    restarts = Restarts("")
    for one in actual[:-1]:
        restarts.after_damage(Damaged("md5", "good", one), "there")
    with pytest.raises(kind, match=said) as caught:
        restarts.after_damage(Damaged("md5", "good", actual[-1]), "there")
    assert caught.value.where == "there"
    assert caught.value.remedy


def test_pieces_grow_and_a_line_that_breaks_early_loses_little() -> None:
    """Large pieces cost less, and where no connection brings more than 100 KiB, the object still comes."""
    sizes = list[int]()

    class Losing(Breaking):
        def read(self, amount: int | None = -1, /) -> bytes:
            """Give all that is asked for, or lose what came of it."""
            sizes.append(amount or 0)
            if self.tell() + min(amount or 0, len(self.getvalue()) - self.tell()) > self.line.reach:
                raise ConnectionResetError
            return BytesIO.read(self, amount)

    def read_through(line: Line) -> bytes:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tests.storage.test_bodies.Breaking", Losing)
            return read(line)

    assert read_through(Line(DATA * 16, 1 << 30)) == DATA * 16
    assert max(sizes) == 256 * KIB
    line = Line(DATA * 16, 100 * KIB)
    assert read_through(line) == line.data
    assert len(line.asked) == 16


def test_an_object_passes_through_in_pieces() -> None:
    """Ten gigabytes need no more memory than ten megabytes: here 64 MiB pass through less than two."""
    size_bytes = 64 << 20

    def get(_: Mapping[str, str]) -> dict[str, Any]:
        return {"ETag": ETAG, "Body": StreamingBody(Zeros(size_bytes), size_bytes), "ContentLength": size_bytes}

    body = Body(get, RetryBudget(), StoredObject(key="key", size_bytes=size_bytes, etag=ETAG))
    tracemalloc.start()
    assert sum(map(len, body.chunks())) == size_bytes
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 2 << 20


class Zeros:
    """So many bytes of which none is kept."""

    def __init__(self, size_bytes: int) -> None:
        self.left_bytes = size_bytes

    def read(self, amount: int) -> bytes:
        """Give some."""
        piece = bytes(min(amount, self.left_bytes))
        self.left_bytes -= len(piece)
        return piece

    def close(self) -> None:
        """Do nothing."""
