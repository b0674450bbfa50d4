import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from structlog.testing import capture_logs

from job.errors import DeviceError
from job.sandbox import OFF, Sandbox, Setting, rehearsal
from job.sandbox.rehearsal import rehearse, settle
from tests.fakes import put
from tests.jobs import ROOT, WITHOUT_TENSORFLOW, environment, run_job
from tests.sandbox.machine import HELD, needs_sandbox
from tests.sources import GRAPH_DEF

_OLD_KERNEL = """
import errno, os, pyseccomp, sys
calls = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
for name in sys.argv[1].split(","):
    calls.add_rule(pyseccomp.ERRNO(errno.ENOSYS), name)
calls.load()
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""
NO_LANDLOCK, NO_SECCOMP = "landlock_create_ruleset", "seccomp,prctl"


def kernel_without(calls: str, *program: str) -> tuple[str, ...]:
    """Return a Python program that runs where the kernel has not got some system calls."""
    return (sys.executable, "-c", _OLD_KERNEL, calls, *program[1:])


@pytest.fixture
def poor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this machine have seccomp alone."""
    monkeypatch.setattr(rehearsal, "rehearse", lambda: (Sandbox(seccomp=True), "Landlock (the kernel has none)"))


def test_machine_is_tried_in_a_process_of_its_own() -> None:
    """What is said of this machine was done, and this process is as free as before."""
    sandbox, missing = rehearse()
    assert (sandbox == Sandbox(landlock=7, seccomp=True)) == (not missing and sandbox.landlock == 7)
    assert Path("/etc/passwd").read_bytes()


@needs_sandbox
@pytest.mark.parametrize(
    ("calls", "held", "said"),
    [
        (NO_LANDLOCK, Sandbox(seccomp=True), "Landlock (the kernel has version 0, and 2 is wanted)"),
        (NO_SECCOMP, OFF, "seccomp ("),
    ],
)
def test_what_a_kernel_lacks_is_found(calls: str, held: Sandbox, said: str) -> None:
    """An old kernel, and a container whose own filter denies ours, are told from one that has all."""
    program = kernel_without(calls, sys.executable, "-m", "job.sandbox")
    told = subprocess.run(program, cwd=ROOT, env=environment(), capture_output=True, text=True, check=True).stdout
    assert said in told
    assert f'"landlock": {held.landlock}' in told
    assert f'"seccomp": {str(held.seccomp).lower()}' in told


def test_process_that_cannot_try_is_no_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends without a word has confined nothing, and no run begins on its silence."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    sandbox, missing = rehearse()
    assert (sandbox, bool(missing)) == (OFF, True)


@pytest.mark.usefixtures("poor")
def test_required_sandbox_ends_the_run() -> None:
    """Another machine may confine: the code is one that is retried, and the line says what to do."""
    with pytest.raises(
        DeviceError, match=r"cannot be confined here: Landlock \(the kernel has none\).*Linux 5.19"
    ) as it:
        settle("require")
    assert it.value.exit_code == 73


@pytest.mark.usefixtures("poor")
def test_best_effort_takes_what_there_is_and_warns() -> None:
    """One warning for the run, with what is missing and what held."""
    with capture_logs() as events:
        assert settle("best-effort") == Sandbox(seccomp=True)
    (event,) = events
    assert (event["event"], event["log_level"]) == ("sandbox_incomplete", "warning")
    assert (event["missing"], event["held"]) == ("Landlock (the kernel has none)", "seccomp, no_new_privs")


def test_off_tries_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who does without has no process started for it."""
    monkeypatch.setattr(rehearsal, "rehearse", lambda: pytest.fail("it was tried"))
    assert settle("off") == OFF


@needs_sandbox
def test_run_on_an_old_kernel_ends_before_any_work(tmp_path: Path) -> None:
    """With code 73 and one line, and nothing at the destination."""
    put(tmp_path / "in", "x.pb", data=GRAPH_DEF)
    program = kernel_without(NO_LANDLOCK, sys.executable, "-m", "job")
    arguments = ("run", "--source", str(tmp_path / "in"), "--dest", str(tmp_path / "out"), "--sandbox", "require")
    ended = run_job(*arguments, program=program)
    assert (ended.code, len(ended.events)) == (73, 1)
    assert "--sandbox best-effort" in ended.events[0]["reason"]
    assert not (tmp_path / "out").exists()


@needs_sandbox
@pytest.mark.parametrize("setting", get_args(Setting))
def test_report_says_what_held(tmp_path: Path, setting: Setting) -> None:
    """In the artifact's record and on its page, whatever was asked for."""
    put(tmp_path / "in", "x.pb", data=GRAPH_DEF)
    places = ("--source", str(tmp_path / "in"), "--dest", str(tmp_path / "out"))
    ended = run_job("run", *places, "--sandbox", setting, program=WITHOUT_TENSORFLOW)
    assert ended.code == 0
    held = "off" if setting == "off" else str(HELD)
    (report,), (page,) = ((tmp_path / "out").rglob(name) for name in ("report.json", "report.html"))
    assert f'"sandbox": "{held}"' in report.read_text(encoding="utf-8")
    assert held in page.read_text(encoding="utf-8")


def test_another_system_is_told_to_take_the_image() -> None:
    """On a Mac no kernel of Linux's is newer: the image brings one, and less confinement is the user's to accept."""
    program = "import sys; sys.platform = 'darwin'; from job.sandbox.rehearsal import REMEDY; print(REMEDY)"
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "run the image, or accept less with --sandbox best-effort" in ended.stdout
    assert "5.19" not in ended.stdout
