import subprocess
import sys
from pathlib import Path

import pytest
from landlockpy import AccessFS

from job.sandbox import Confinement, Sandbox, places, seccomp
from job.sandbox.landlock import rules
from tests.jobs import ROOT, environment
from tests.sandbox.machine import FULL, needs_sandbox

WRITES = AccessFS.MAKE_REG | AccessFS.REMOVE_FILE | AccessFS.TRUNCATE
NEVER = ("/", "/etc", "/home", "/proc", "/proc/self", "/root", "/run", "/sys", "/usr", "/var")

_TWO_THREADS = """
import sys, threading, time
from job.sandbox import Confinement, Sandbox, confine
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
confine(Confinement(scratch=sys.argv[1], sandbox=Sandbox(landlock=7, seccomp=True)))
"""
_TIMED = """
import os, sys, time
from job.sandbox import Confinement, Sandbox, confine, prepare
prepare()
for _ in range(20):
    if os.fork() == 0:
        start = time.process_time()
        confine(Confinement(scratch=sys.argv[1], sandbox=Sandbox(landlock=7, seccomp=True)))
        os.write(1, f"{time.process_time() - start}\\n".encode())
        os._exit(0)
    os.wait()
"""


def given(confinement: Confinement) -> dict[str, AccessFS]:
    """Return what a worker is let at."""
    return dict(rules(confinement))


def test_only_scratch_and_products_are_written() -> None:
    """No library, no input and no device is made, removed or cut."""
    confinement = Confinement(scratch="/s/exact-1", reads=("/s/source",), writes=("/s/out/saved_model",))
    written = {path for path, rights in given(confinement).items() if rights & WRITES}
    assert written == {"/s/exact-1", "/s/out/saved_model"}


def test_nothing_can_be_made_that_misleads_the_supervisor() -> None:
    """A link, a pipe, a socket or a device in what it publishes would be followed or waited for."""
    misleading = AccessFS.MAKE_SYM | AccessFS.MAKE_FIFO | AccessFS.MAKE_SOCK | AccessFS.MAKE_CHAR | AccessFS.MAKE_BLOCK
    confinement = Confinement(scratch="/s", writes=("/w",), on_gpu=True)
    assert not any(rights & misleading for rights in given(confinement).values())


def test_no_rule_covers_what_is_not_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole trees in which secrets lie are no place of a library, wherever Python's path leads."""
    monkeypatch.setattr(sys, "path", ["", "/usr/lib/python3", "/s"])
    assert not {*NEVER, "/s"} & given(Confinement(scratch="/s/run/exact-1")).keys()


def test_pythons_path_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow imports late, from wherever it was installed."""
    monkeypatch.setattr(sys, "path", ["/opt/venv/lib/python3.11/site-packages"])
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/cuda/lib64:/opt/more")
    assert {"/opt/venv/lib/python3.11/site-packages", "/opt/cuda/lib64", "/opt/more"} <= given(
        Confinement(scratch="/s")
    ).keys()


@needs_sandbox
def test_system_calls_are_spelt_as_libseccomp_knows_them() -> None:
    """A name that it does not know would be left out without a word; -1 says that, other numbers below 0 do not."""
    library = seccomp.library()
    names = " ".join((*seccomp.DENIED.values(), seccomp.DENIED_ON_CPU, *seccomp.ABSENT)).split()
    assert [name for name in names if library.resolve_syscall(library.Arch.NATIVE, name) == -1] == []
    assert len(names) == len(set(names))


def test_tables_give_no_place_twice() -> None:
    """Each is listed with its reason, once."""
    listed = (*places.LIBRARIES, *places.MACHINE, *places.DEVICES, *places.NVIDIA_LIBRARIES, *places.NVIDIA_DEVICES)
    assert len(listed) == len(set(listed))


def test_sandbox_names_what_holds() -> None:
    """As the report prints it."""
    assert [str(one) for one in (FULL, Sandbox(landlock=2), Sandbox(seccomp=True), Sandbox())] == [
        "landlock 7, seccomp, no_new_privs",
        "landlock 2, no_new_privs",
        "seccomp, no_new_privs",
        "off",
    ]


@needs_sandbox
def test_second_thread_is_not_left_free(tmp_path: Path) -> None:
    """Landlock confines one thread: a process with two is refused rather than half confined."""
    program = [sys.executable, "-c", _TWO_THREADS, str(tmp_path)]
    ended = subprocess.run(program, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "DeviceError: a worker could not be confined: it has more threads than one" in ended.stderr


@needs_sandbox
def test_confining_takes_no_time(tmp_path: Path) -> None:
    """Some milliseconds of CPU for every stage; the best of twenty, since the machine may be busy with other tests."""
    program = [sys.executable, "-c", _TIMED, str(tmp_path)]
    ended = subprocess.run(program, cwd=ROOT, env=environment(), capture_output=True, text=True, check=True)
    durations_s = sorted(map(float, ended.stdout.split()))
    assert len(durations_s) == 20
    assert durations_s[0] < 0.02
