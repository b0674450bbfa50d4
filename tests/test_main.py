"""``python -m job`` where it cannot begin: one line with what to do, and code 2."""

import subprocess
import sys

import pytest

from tests.jobs import ROOT, environment

START = "import runpy, sys; {}; runpy.run_module('job', run_name='__main__', alter_sys=True)"


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ("sys.version_info = (3, 8, 19)", "this Python is too old"),
        ("sys.platform = 'win32'", "this is Windows"),
        ("sys.modules['click'] = None", "-m pip install"),
    ],
)
def test_what_keeps_the_job_from_starting_is_one_line(before: str, said: str) -> None:
    """An old Python, Windows, and a clone whose dependencies nobody has installed."""
    ended = subprocess.run(
        [sys.executable, "-c", START.format(before)],
        env=environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert said in ended.stderr
    assert ended.stderr.startswith("usage: ")
