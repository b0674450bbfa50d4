import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pytest
from jsonschema import Draft202012Validator

from job import codec
from job.inspection import Inspected, Inspection
from job.records import ArtifactReport, LeftAlone
from job.summary import RunSummary
from tests import samples
from tests.fakes import put, run_here, use_fake_stages
from tests.schema import __main__ as command
from tests.schema.making import DOCUMENTS, FOLDERS, Document, file_of, losses, text_of

REPORT, RUN, INSPECT = DOCUMENTS
GPU = replace(samples.PUBLISHED, benchmark=samples.MEASURED_ON_A_GPU)
ODD = replace(samples.PUBLISHED, timings=(replace(samples.PUBLISHED.timings[0], wall_s=float("nan")),))
REPORTS = (*samples.REPORTS, GPU, ODD)


def problems(document: Document, written: Any) -> list[str]:
    """Return what is wrong with a document by its committed schema."""
    schema = json.loads((FOLDERS[0] / file_of(document, document.schema())).read_text())
    return [error.message for error in Draft202012Validator(schema).iter_errors(written)]


def objects(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield every part of a schema that speaks of an object."""
    if isinstance(schema, dict) and schema.get("type") == "object":
        yield schema
    inside = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    for one in inside:
        yield from objects(one)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.parent.name)
def test_what_is_committed_is_what_the_records_make(document: Document, folder: Path) -> None:
    """A record that changes takes its schema along: run scripts/make-schema, which says when a version ends."""
    schema = document.schema()
    assert (folder / file_of(document, schema)).read_text() == text_of(schema), "run scripts/make-schema"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_a_schema_is_strict_and_sound(document: Document) -> None:
    """It says which draft it is of and keeps to it; a record may hold nothing but its members, and holds them all."""
    schema = document.schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)
    records = [one for one in objects(schema) if "properties" in one]
    assert len(records) >= 8
    for one in records:
        assert one["additionalProperties"] is False
        assert one["required"] == list(one["properties"])
        assert one["description"]


@pytest.mark.parametrize("report", REPORTS)
def test_every_kind_of_report_is_valid(report: ArtifactReport) -> None:
    """Published, unproven, with a benchmark or without, failed and broken ones, and numbers that JSON has not."""
    assert problems(REPORT, json.loads(codec.document(report))) == []


def test_a_run_is_valid() -> None:
    """What a shard leaves behind holds its reports and what it left alone."""
    left = (LeftAlone(key="notes.txt", reason="no model"),)
    summary = RunSummary(
        run="r", shard_index=0, shard_count=2, exit_code=1, wall_s=2.5, reports=REPORTS, left_alone=left
    )
    assert problems(RUN, json.loads(codec.document(summary))) == []


def test_what_inspect_prints_is_valid() -> None:
    """A model that will convert, one that was only listed, and one of which nothing is known."""
    seen = (
        Inspected(artifact=samples.ARTIFACT, will_convert=True, summary=samples.SUMMARY),
        Inspected(artifact=samples.ARTIFACT, will_convert=None),
        Inspected(artifact=samples.BROKEN.artifact, will_convert=False, error=samples.BROKEN.error),
    )
    printed = codec.dumps(Inspection(uri="models", artifacts=seen, left_alone=()))
    assert problems(INSPECT, json.loads(printed)) == []


def test_what_a_job_publishes_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files themselves, of what was published, refused, damaged and wrong, and of the run."""
    use_fake_stages(monkeypatch)
    put(tmp_path / "in", "a.pb", "refused.pb", "wrong.pb", "recognised.pb")
    put(tmp_path / "in", "cut.pb", data=b"")
    run_here(tmp_path)
    reports = list((tmp_path / "out").rglob("report.json"))
    assert len(reports) == 5
    for path in reports:
        assert problems(REPORT, json.loads(path.read_text())) == []
    (run,) = (tmp_path / "out").rglob("shard-*.json")
    assert problems(RUN, json.loads(run.read_text())) == []


DAMAGE = {
    "a member is missing": {"plan": ...},
    "a member nobody knows": {"comment": "fine"},
    "a word nobody knows": {"status": "lost"},
    "another kind": {"place": 1},
    "null where there is always something": {"artifact": None},
    "a number as a word": {"timings": [{"stage": "pull", "wall_s": "1.5", "peak_memory_bytes": 0}]},
    "another version": {"schema_version": 2},
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_report_is_not_valid(damage: dict[str, Any]) -> None:
    """One thing that is wrong is found, and it alone; the product's own reader says no as well, but for defaults."""
    whole = json.loads(codec.document(samples.PUBLISHED))
    damaged = {name: value for name, value in (whole | damage).items() if value is not ...}
    assert len(problems(REPORT, damaged)) == 1
    if ... not in damage.values():
        with pytest.raises(ValueError, match="no ArtifactReport"):
            codec.loads(json.dumps(damaged), ArtifactReport)


@dataclass(frozen=True)
class Part:
    """A record in a record."""

    size: int = 0


@dataclass(frozen=True)
class Before:
    """A document."""

    parts: tuple[Part, ...] = ()
    by_name: dict[str, float] | None = None
    word: Literal["one", "two"] = "one"
    schema_version: Literal[1] = 1


@dataclass(frozen=True)
class LongerPart(Part):
    """A part that says more."""

    weight: float = 0.0


@dataclass(frozen=True)
class Longer:
    """A document with another member, a part that says more under another name, and another word."""

    parts: tuple[LongerPart, ...] = ()
    by_name: dict[str, float] | None = None
    word: Literal["one", "two", "three"] = "one"
    more: str | None = None
    schema_version: Literal[1] = 1


@dataclass(frozen=True)
class OtherPart:
    """A part whose size may be unknown."""

    size: int | None = 0


@dataclass(frozen=True)
class Other:
    """A document that lacks a word, holds words where numbers were, and says less of its parts."""

    parts: tuple[OtherPart, ...] = ()
    by_name: dict[str, str] | None = None
    word: Literal["one"] = "one"
    schema_version: Literal[1] = 1


@dataclass(frozen=True)
class Shorter:
    """A document without parts."""

    by_name: dict[str, float] | None = None
    word: Literal["two", "one"] = "one"
    schema_version: Literal[1] = 1


@pytest.mark.parametrize(
    ("record", "lost"),
    [
        (Before, []),
        (Longer, []),
        (Shorter, ["the document has no parts"]),
        (Other, ["size of parts of the document", "by_name of the document", "word of the document"]),
    ],
)
def test_what_readers_rely_on_keeps_its_version(record: type[Any], lost: list[str]) -> None:
    """Members and words may come; none may go, nor be of another kind, nor become unknown."""
    before, after = (Document(name="x", file="x", record=one).schema() for one in (Before, record))
    found = losses(before, after)
    assert len({loss.partition(" is ")[0] for loss in found}) == len(lost)
    assert all(any(loss.startswith(one) for loss in found) for one in lost)


def test_the_command_keeps_a_version_s_promise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It writes what is new and what grows, says what would be lost and what to do, and changes nothing then."""
    monkeypatch.setattr(command, "ROOT", tmp_path)
    monkeypatch.setattr(command, "FOLDERS", (tmp_path / "docs",))
    for record in (Before, Longer):
        monkeypatch.setattr(command, "DOCUMENTS", (Document(name="x", file="x.json", record=record),))
        command.main()
    assert capsys.readouterr().out == "docs/x-1.json\n" * 2
    written = (tmp_path / "docs" / "x-1.json").read_text()
    monkeypatch.setattr(command, "DOCUMENTS", (Document(name="x", file="x.json", record=Shorter),))
    with pytest.raises(SystemExit, match=r"docs/x-1\.json: the document has no parts now; count schema_version of"):
        command.main()
    assert (tmp_path / "docs" / "x-1.json").read_text() == written
