import subprocess
from dataclasses import replace

import pytest

from job.cli import app
from job.records import ArtifactReport
from job.report.reproduction import DEST, as_shell, command_for, steps
from job.results import ParityResult
from job.settings import Settings, knobs
from tests import samples

SETTINGS = Settings(
    source="s3://models/tf1/",
    dest="s3://models/tf2/",
    only="*",
    tolerance=1e-4,
    seed=7,
    benchmark="off",
    free_batch=True,
    allow_op=("A", "B"),
    lanes=3,
    scratch="/fast",
    shard_index=1,
    shard_count=4,
)


def test_the_command_has_this_runs_options_for_this_artifact() -> None:
    """What decides a result is there, what belongs to the machine is not, and nothing published is touched."""
    assert command_for(SETTINGS, "vision/resnet 50") == (
        *("python", "-m", "job", "run", "--source", "s3://models/tf1/", "--only", "vision/resnet 50"),
        *("--dest", DEST, "--seed", "7", "--benchmark", "off", "--tolerance", "0.0001", "--free-batch"),
        *("--allow-op", "A", "--allow-op", "B"),
    )


def test_the_command_is_one_that_the_job_takes() -> None:
    """Every option that differs from its default is read back as it was."""
    command = app.commands["run"]
    context = command.make_context("run", list(command_for(SETTINGS, "n")[4:]))
    read = Settings(**{knob.name: context.params[knob.name] for knob in knobs()})
    assert read == replace(SETTINGS, only="n", dest=DEST, lanes=None, scratch="", shard_index=None, shard_count=None)


def test_the_command_has_no_secret() -> None:
    """A source may be given with a password."""
    assert "canary" not in str(command_for(Settings(source="s3://user:canary12@bucket/x"), "n"))


def test_a_shell_reads_the_command_as_it_is() -> None:
    """Spaces and quotes in a name are quoted; each option has a line."""
    command = command_for(Settings(source="it's here; rm -rf /"), "a b")
    lines = as_shell(command)
    script = f"set -- {chr(10).join(lines)}\nprintf '%s\\0' \"$@\""
    told = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)  # noqa: S607 - any shell
    assert tuple(told.stdout.split("\0")[:-1]) == command
    assert lines[0] == "python -m job run \\"
    assert lines[2] == "  --only 'a b' \\"


def test_an_error_is_met_again_in_its_stage() -> None:
    """The stage that failed is named."""
    (step,) = steps(samples.BROKEN)
    assert step.title == "The error in stage convert"
    assert "exit code 40" in step.told
    assert step.command[-1] == "  --device cpu"


def test_a_comparison_before_the_error_is_not_what_failed() -> None:
    """A stage that died after the comparison is what is to be met again."""
    report = replace(samples.BROKEN, parity=samples.PARITY_FAILED.parity)
    assert steps(report) == steps(samples.BROKEN)


def test_a_comparison_names_output_sample_and_seed() -> None:
    """What one has to feed to see the difference."""
    (step,) = steps(samples.PARITY_FAILED)
    assert step.title == "The comparison that failed"
    assert "Output probabilities of serving_default: 3.1e-02, with the sample “normal, batch 2”." in step.told
    assert "seed" in step.told
    assert "  --seed 0 \\" in step.command


def test_an_unstable_measurement_is_repeated_for_longer() -> None:
    """The same command, with the full benchmark in place of whatever was asked for."""
    unstable = replace(
        samples.PUBLISHED,
        benchmark=replace(samples.BENCHMARK, verdict="unstable"),
        command=(*samples.COMMAND, "--benchmark", "quick", "--free-batch"),
    )
    (step,) = steps(unstable)
    assert step.command[-2:] == ("  --free-batch \\", "  --benchmark full")
    assert not any("quick" in line for line in step.command)


@pytest.mark.parametrize("report", [samples.PUBLISHED, replace(samples.BROKEN, command=())])
def test_nothing_to_repeat(report: ArtifactReport) -> None:
    """What went well has no failed step, and an old report no command."""
    assert steps(report) == ()


def test_both_comparisons_may_have_failed() -> None:
    """Each has its step, in the order in which they ran."""
    parity = samples.PARITY_FAILED.parity
    assert isinstance(parity, ParityResult)
    report = replace(samples.PARITY_FAILED, as_run=replace(parity, mode="as_run"))
    assert [step.title for step in steps(report)] == [
        "The comparison that failed",
        "The comparison as run that failed",
    ]
