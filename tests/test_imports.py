import subprocess
import sys
import time

import pytest

from tests.jobs import ROOT, environment, run_job

# rich is not among them: structlog loads it wherever it is installed
SLOW = ("tensorflow", "keras", "boto3", "botocore", "matplotlib", "jinja2")


def imported_by(statement: str) -> set[str]:
    """Return the top-level packages that a statement loads."""
    program = f"import sys\n{statement}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    ended = subprocess.run(
        [sys.executable, "-c", program], env=environment(), cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(ended.stdout.split())


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import job.cli", (*SLOW, "numpy", "yaml", "structlog", "rich")),
        ("import job.running, job.inspecting", ("tensorflow", "keras", "matplotlib", "boto3", "numpy")),
        ("import job.zygote", (*SLOW, "numpy")),
    ],
)
def test_supervisor_loads_only_what_it_needs(statement: str, absent: tuple[str, ...]) -> None:
    """TensorFlow alone is 4 s and 500 MB: the supervisor never has it, nor the command line what is slow."""
    assert imported_by(statement) & set(absent) == set()


@pytest.mark.parametrize("arguments", [("--help",), ("run", "--help"), ("inspect", "--help")])
def test_help_answers_at_once(arguments: tuple[str, ...]) -> None:
    """Help takes 0.7 s at most; the best of five, since the machine may be busy with other tests."""
    durations_s = []
    for _ in range(5):
        start = time.perf_counter()
        ended = run_job(*arguments)
        durations_s.append(time.perf_counter() - start)
        assert (ended.code, ended.stderr) == (0, "")
        assert "Usage: python -m job" in ended.stdout
        if durations_s[-1] <= 0.7:
            break
    assert min(durations_s) <= 0.7
