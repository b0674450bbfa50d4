"""The libraries that confining needs: each in a process of its own, as they are loaded only once."""

import subprocess
import sys

import pytest

from tests.jobs import ROOT, environment
from tests.sandbox.machine import needs_sandbox

NO_PROGRAM = """
import sys
def refuse(event, _):
    if event in ("subprocess.Popen", "os.posix_spawn", "os.system", "os.fork"):
        raise SystemExit(event)
sys.addaudithook(refuse)
"""


def said_by(program: str) -> tuple[int, str]:
    """Run a program; return how it ended and what it wrote."""
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout + ended.stderr


@needs_sandbox
def test_no_program_is_started_to_find_the_libraries() -> None:
    """One may be killed for want of memory, as ldconfig was once: then no model could be confined any more."""
    program = "from job.sandbox import prepare\nprepare()\nprint('pyseccomp' in sys.modules)"
    assert said_by(NO_PROGRAM + program) == (0, "True\n")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has libseccomp")
def test_absence_of_libseccomp_is_said_as_such() -> None:
    """Whoever builds an image learns what is lacking in it."""
    program = (
        "from job.sandbox import seccomp, sonames\n"
        "sonames.SONAMES = {'c': 'libc.so.6', 'seccomp': 'libabsent.so.2'}\n"
        "try:\n"
        "    with sonames.by_soname():\n"
        "        seccomp.library()\n"
        "except OSError as error:\n"
        "    print(error.strerror)\n"
    )
    assert said_by(program) == (0, "libseccomp is not installed\n")


def test_other_libraries_are_found_as_ever() -> None:
    """And afterwards all of them."""
    program = (
        "import ctypes.util\n"
        "ctypes.util.find_library = lambda name: f'lib{name}'\n"
        "from job.sandbox.sonames import by_soname\n"
        "with by_soname():\n"
        "    print(*map(ctypes.util.find_library, ('c', 'z')))\n"
        "print(ctypes.util.find_library('c'))\n"
    )
    assert said_by(program) == (0, "libc.so.6 libz\nlibc\n")
