from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from job.latency import Window
from tests.bench import transfers
from tests.bench.contest import Unable


def test_a_load_is_as_large_as_it_says(tmp_path: Path) -> None:
    """A load's files have its sizes, and no two the same bytes."""
    load = transfers.Load(count=3, size_bytes=1000)
    load.write(tmp_path / "load")
    written = {path.read_bytes() for path in (tmp_path / "load").iterdir()}
    assert [len(data) for data in written] == [1000] * 3
    assert str(transfers.Load(count=20, size_bytes=50_000_000)) == "20 x 50 MB"


def test_cells() -> None:
    """The reference has its throughput alone, the others a ratio to it that is above 1 where they are faster."""
    load = transfers.Load(count=1, size_bytes=10**9)
    windows = {
        name: [Window(latencies_s=(seconds,))] * 3 for name, seconds in ((transfers.REFERENCE, 4.0), ("rclone", 2.0))
    }
    assert transfers._cell(load, transfers.REFERENCE, windows) == "250"
    assert transfers._cell(load, "rclone", windows) == "500, 2.00 (2.00 to 2.00)"


def test_without_a_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where no server can be had each row says so."""

    @contextmanager
    def none() -> Iterator[None]:
        raise Unable("no S3 server: ceph cannot be installed")
        yield

    monkeypatch.setattr(transfers, "serving", none)
    monkeypatch.setattr(transfers, "peers_python", lambda: "python")
    (table,) = transfers.tables(quick=True, scratch=tmp_path)
    assert {cells for _, cells in table.rows} == {"not measured: no S3 server: ceph cannot be installed"}


def test_the_order_turns() -> None:
    """Nobody always comes first."""
    assert [transfers._rotated(["a", "b", "c"], by)[0] for by in range(4)] == ["a", "b", "c", "a"]
