"""``from job import convert``: what it returns, what it raises, and that it leaves its caller's process alone."""

import asyncio
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import pytest
import structlog

from job import Settings, called, calling, convert, inspect, verify
from job.errors import BadInput, Internal, Interrupted, NoInput, StorageError, UsageError
from job.library import Converted
from job.processes import children_of, descendants
from job.storage.local import LocalStorage
from tests.jobs import GOLDENS, environment, is_alive, until
from tests.samples import PUBLISHED
from tests.test_imports import imported_by

GOOD = GOLDENS / "while_loop_frozen" / "frozen.pb"
CHEAP = Settings(device="cpu", benchmark="off", tune_budget=0, sandbox="best-effort")


def own() -> dict[str, Any]:
    """Return what a library could change of the process that uses it."""
    umask = os.umask(0o22)
    os.umask(umask)
    return {
        "handlers": [signal.getsignal(number) for number in signal.valid_signals()],
        "wakeup": signal.set_wakeup_fd(signal.set_wakeup_fd(-1)),
        "structlog": structlog.is_configured(),
        "logging": [(type(one), one.level) for one in logging.getLogger().handlers],
        "warnings": warnings.showwarning,
        "directory": Path.cwd(),
        "environment": dict(os.environ),
        "umask": umask,
        "threads": set(threading.enumerate()),
        "children": children_of(os.getpid()),
        "descriptors": {one.name for one in Path("/proc/self/fd").iterdir()},
    }


def test_the_caller_s_process_is_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signals, logging, directory, environment, threads, children and open files: a call changes none of them."""
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    before = own()
    with pytest.raises(NoInput, match="there is nothing at the source"):
        convert("empty", "out")
    assert own() == before


def test_an_option_that_is_none_is_told_before_any_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that the command line refuses is a `UsageError` at once."""
    monkeypatch.setattr(calling, "MODULE", "no_such_module")
    with pytest.raises(UsageError, match="did you mean 'gpu'"):
        convert("in", "out", Settings(device="gup"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("module", "told"),
    [
        ("this", r"ended without an answer \(status 0\)"),
        ("no_such_module", r"status 1.*No module named no_such_module"),
    ],
)
def test_a_process_without_an_answer_is_an_error(module: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its status says: TensorFlow may end a process with 0, and another library may reap it."""
    monkeypatch.setattr(calling, "MODULE", module)
    with pytest.raises(Internal, match=told):
        verify("out")


def test_shares_and_options_of_the_environment_are_not_taken() -> None:
    """In a task of a batch engine, a call would convert its share alone of what it was asked for."""
    said = {"JOB_COMPLETION_INDEX": "1", "AWS_BATCH_JOB_ARRAY_INDEX": "1", "JOB_TOLERANCE": "1", "AWS_REGION": "here"}
    assert calling._environment(said) == {"AWS_REGION": "here"}


def test_modules_are_looked_for_where_the_caller_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process begins in another directory, from which a relative PYTHONPATH would lead elsewhere."""
    monkeypatch.chdir(tmp_path)
    said = calling._environment({"PYTHONPATH": f"nets{os.pathsep}/opt/nets{os.pathsep}"})
    assert said == {"PYTHONPATH": os.pathsep.join([str(tmp_path / "nets"), "/opt/nets", str(tmp_path)])}


def test_a_store_that_fails_at_the_end_takes_no_result_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All was published: what the commits say beside the reports is left out, and the caller has the rest."""

    def fails(*_: object) -> None:
        raise StorageError("the store answers no more")

    monkeypatch.setattr(called, "commit_at", fails)
    told = called._artifact(LocalStorage(tmp_path), "out", PUBLISHED)
    assert (told.saved_model, told.parity) == (f"out/{PUBLISHED.place}/saved_model", ())


@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING])
def test_events_go_to_python_s_logging(level: int, caplog: pytest.LogCaptureFixture) -> None:
    """Who has asked for them gets them with their fields, others do not."""
    caplog.set_level(level, "job")
    calling._pass_on('{"timestamp": "now", "level": "info", "event": "stage_ended", "stage": "pull", "wall_s": 0.5}')
    calling._pass_on("Python said something else")
    told = [(one.levelno, one.getMessage(), getattr(one, "fields", None)) for one in caplog.records]
    event: Any = (logging.INFO, "stage_ended stage=pull wall_s=0.5", {"stage": "pull", "wall_s": 0.5})
    other: Any = (logging.WARNING, "Python said something else", {})
    assert told == ([event, other] if level == logging.INFO else [other])


def test_each_line_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An empty line, as Python's own words have some, says nothing, and the last word goes into the error."""
    (tmp_path / "talker.py").write_text("import sys\nsys.stderr.write('one\\n\\ntwo\\n \\n')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(calling, "MODULE", "talker")
    with pytest.raises(Internal, match=r"status 0\); two"):
        verify("out")
    assert caplog.messages == ["one", "two"]


@pytest.mark.slow
def test_an_interrupt_ends_the_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook's stop button is a `KeyboardInterrupt` in the middle of the call: nothing of it may go on."""

    def stop(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(calling, "_pass_on", stop)
    others = descendants(os.getpid())  # of other tests
    with pytest.raises(KeyboardInterrupt):
        convert(GOOD, tmp_path / "out", CHEAP)
    assert set(descendants(os.getpid())) <= set(others)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_ends_with_its_caller(number: int, tmp_path: Path) -> None:
    """Whoever kills a notebook's kernel wants its work gone, too."""
    program = f"import job; job.convert({str(GOOD)!r}, {str(tmp_path / 'out')!r})"
    with subprocess.Popen([sys.executable, "-c", program], env=environment()) as caller:
        until(lambda: len(descendants(caller.pid)) > 1, timeout_s=30)
        family = descendants(caller.pid)
        caller.send_signal(number)
    until(lambda: not any(is_alive(one) for one in family), timeout_s=30)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with one graph that converts and one that was cut."""
    directory = tmp_path_factory.mktemp("library")
    (directory / "in").mkdir()
    shutil.copy(GOOD, directory / "in" / "good.pb")
    shutil.copy(GOLDENS / "truncated_frozen" / "frozen.pb", directory / "in" / "cut.pb")
    return directory / "in"


@pytest.fixture(scope="module")
def converted(source: Path) -> Converted:
    """Return what a run came to that was asked for below an event loop, in another thread."""

    async def call() -> Converted:
        return await asyncio.to_thread(convert, source, source.parent / "out", CHEAP)

    return asyncio.run(call())


@pytest.mark.slow
def test_what_was_published_is_returned_with_its_place(converted: Converted, source: Path) -> None:
    """A caller loads the model from what the call returns, without knowing how a destination is laid out."""
    good = {one.name: one for one in converted.artifacts}["good.pb"]
    assert (good.status, good.error) == ("published", None)
    assert good.saved_model.startswith(str(source.parent / "out" / "good.pb"))
    assert Path(good.saved_model, "saved_model.pb").is_file()
    assert Path(good.report_html).is_file()
    assert Path(converted.index_html).is_file()
    assert (good.saved_model_fast, good.keras_file) == ("", "")
    assert [(one.mode, one.verdict) for one in good.parity] == [("exact", "passed"), ("as_run", "passed")]


@pytest.mark.slow
def test_what_failed_is_returned_and_raised_on_demand(converted: Converted) -> None:
    """One bad model among many must not hide the others; who wants an exception asks for it."""
    cut = {one.name: one for one in converted.artifacts}["cut.pb"]
    assert (cut.status, cut.saved_model, cut.parity) == ("not_published", "", ())
    assert cut.error is not None
    assert converted.exit_code == cut.error.exit_code == BadInput.exit_code
    assert Path(cut.report_html).is_file()
    with pytest.raises(BadInput, match=cut.error.what[:20]):
        converted.check()


@pytest.mark.slow
def test_a_second_run_says_as_much_of_what_is_published(converted: Converted, source: Path) -> None:
    """It skips what is there: places and parity come from the commit."""
    first = {one.name: one for one in converted.artifacts}["good.pb"]
    again = convert(source / "good.pb", source.parent / "out", CHEAP)
    (one,) = again.artifacts
    assert one.status == "already_published"
    assert (one.saved_model, one.parity) == (first.saved_model, first.parity)
    assert again.exit_code == 0
    again.check()


@pytest.mark.slow
def test_what_is_published_verifies_until_it_is_changed(converted: Converted, source: Path) -> None:
    """`verify` reads every byte, and names what has changed."""
    assert verify(source.parent / "out").is_whole
    model = next(one.saved_model for one in converted.artifacts if one.saved_model)
    other = source.parent / "copy"
    shutil.copytree(source.parent / "out", other)
    Path(model.replace("/out/", "/copy/"), "saved_model.pb").write_bytes(b"other")
    found = verify(other)
    assert not found.is_whole
    assert "saved_model.pb" in found.commits[0].problems[0]


@pytest.mark.slow
def test_inspect_says_who_will_convert(source: Path) -> None:
    """It is the rehearsal of the command, as records."""
    found = inspect(source, CHEAP)
    assert {one.artifact.name: one.will_convert for one in found.artifacts} == {"cut.pb": False, "good.pb": True}


def test_an_interrupted_run_is_told_by_check() -> None:
    """What a deadline has left undone is no success, though no artifact failed."""
    with pytest.raises(Interrupted):
        Converted(artifacts=(), left_alone=(), exit_code=75, index_html="").check()


def test_the_package_costs_nothing_to_import() -> None:
    """``import job`` is part of every start of the command line: the library comes when it is asked for."""
    assert not imported_by("import job, job.cli") & {"structlog", "cattrs", "boto3", "tensorflow"}
    assert "job.library" not in imported_modules("import job.cli")
    assert not imported_by("from job import Settings, convert") & {
        "tensorflow",
        "keras",
        "numpy",
        "boto3",
        "matplotlib",
    }


def imported_modules(statement: str) -> set[str]:
    """Return all modules that a statement loads."""
    program = f"import sys\n{statement}\nprint(*sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, check=True
    )
    return set(said.stdout.split())


def test_names_are_those_that_the_package_says() -> None:
    """A name that is not offered is an `AttributeError`, as of any package."""
    import job  # noqa: PLC0415 - it is what is asked

    assert set(job.__all__) == {"Settings", "convert", "inspect", "verify"}
    with pytest.raises(AttributeError, match="no attribute 'konvert'"):
        job.konvert  # type: ignore[attr-defined]  # noqa: B018 - to ask for it is the test
