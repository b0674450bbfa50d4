import importlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from job import codec
from tests.bench import __main__ as bench
from tests.bench.table import Table

TABLE = Table(name="memory", title="Memory", measured="So.", machine="m", columns=("c",), rows=(("1",),))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What a part, here a fake one, is asked for."""
    calls = list[object]()

    def tables(*, quick: bool, scratch: Path, only: Sequence[str] = ()) -> Iterator[Table]:
        calls.append((quick, list(only), scratch.is_dir()))
        yield TABLE

    def fake(name: str) -> SimpleNamespace:
        assert name.startswith("tests.bench.")
        return SimpleNamespace(tables=tables)

    monkeypatch.setattr(importlib, "import_module", fake)
    return calls


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "performance.md"
    path.write_text("<!-- bench:memory -->\n<!-- /bench:memory -->\n")
    return path


def test_a_full_run_goes_into_the_document(asked: list[object], document: Path) -> None:
    """A part's table comes into its place."""
    assert bench.main(["memory"], document) == 0
    assert TABLE.markdown() in document.read_text()
    assert asked == [(False, [], True)]


def test_a_rehearsal_goes_nowhere(asked: list[object], document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What --quick makes is printed, and the document stays as it was."""
    before = document.read_text()
    assert bench.main(["memory:one,two", "--quick"], document) == 0
    assert document.read_text() == before
    assert TABLE.markdown() in capsys.readouterr().out
    assert asked == [(True, ["one", "two"], True)]


@pytest.mark.usefixtures("asked")
def test_out(document: Path, tmp_path: Path) -> None:
    """--out keeps a table for people and for programs, and out of the document."""
    before = document.read_text()
    bench.main(["memory", "--out", str(tmp_path / "out")], document)
    assert (tmp_path / "out" / "memory.md").read_text() == TABLE.markdown()
    assert codec.loads((tmp_path / "out" / "memory.json").read_text(), Table) == TABLE
    assert document.read_text() == before


def test_unknown_part(capsys: pytest.CaptureFixture[str]) -> None:
    """A part that does not exist is named, before anything runs."""
    with pytest.raises(SystemExit):
        bench.main(["models", "tables"])
    assert "no such part: tables" in capsys.readouterr().err


def test_every_part_is_there() -> None:
    """Each part is a module with a function that makes tables."""
    found: list[Callable[..., object]] = [importlib.import_module(f"tests.bench.{part}").tables for part in bench.PARTS]
    assert all(map(callable, found))
