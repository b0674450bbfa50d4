"""A stand-in lets pass what the real command takes, and nothing else."""

import argparse
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.docs import aws, stand_ins
from tests.jobs import ROOT

Ran = list[Sequence[str]]


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Ran:
    """The commands that a stand-in would have run."""
    commands: Ran = []
    keep: Callable[..., None] = lambda command, **_: commands.append(command)  # noqa: E731 - it is one
    monkeypatch.delenv(stand_ins.IMAGE, raising=False)
    monkeypatch.setattr("tests.docs.stand_ins.subprocess.run", keep)
    return commands


def test_docker_runs_the_job_on_the_volumes_folders(tmp_path: Path, ran: Ran) -> None:
    """Without an image the command is run here, with the folders behind its paths, and on the CPU."""
    command = ["run", "--source", "/data/in", "--dest", "/database", "--device", "gpu"]
    said = stand_ins.docker(["run", "--gpus", "all", "-v", f"{tmp_path}:/data", "tf1lift:gpu", *command])
    assert "without GPUs" in said
    assert ran[0][3:] == ["run", "--source", f"{tmp_path}/in", "--dest", "/database", "--device", "cpu"]


@pytest.mark.parametrize(
    "arguments",
    [["run", "-v", "/nowhere:/data", "tf1lift:gpu"], ["run", "--gpu", "all", "tf1lift:gpu"], ["rnu", "tf1lift:gpu"]],
)
@pytest.mark.usefixtures("ran")
def test_docker_refuses_what_would_not_work(arguments: list[str]) -> None:
    """A folder that is not there, an option and a command that docker has not, fail."""
    with pytest.raises((ValueError, SystemExit, argparse.ArgumentError)):
        stand_ins.docker(arguments)


def test_aws_takes_what_the_service_takes(tmp_path: Path) -> None:
    """Options are held against the service's model: names, types and what must be there."""
    definition = tmp_path / "definition.json"
    definition.write_text(json.dumps({"jobDefinitionName": "x", "type": "container"}))
    assert "RegisterJobDefinition" in aws.check(
        ["batch", "register-job-definition", "--cli-input-json", f"file://{definition}"]
    )
    submit = ["batch", "submit-job", "--job-name", "x", "--job-queue", "x", "--job-definition", "x"]
    assert "SubmitJob" in aws.check([*submit, "--array-properties", "size=8", "--parameters", "a=b,c=s3://d/e"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["batch", "submit-job", "--job-name", "x"], "jobQueue"),
        (["batch", "submit-job", "--job-nmae", "x"], "no option --job-nmae"),
        (["batch", "sumbit-job"], "no operation sumbit-job"),
    ],
)
def test_aws_refuses_what_the_service_would_not_take(arguments: list[str], says: str) -> None:
    """A missing, an unknown option and an unknown operation are told."""
    with pytest.raises(ValueError, match=says):
        aws.check(arguments)


def test_gcloud_wants_its_options_and_its_file() -> None:
    """What is submitted has a place and a file that is JSON."""
    config = str(ROOT / "cloud/gcp-batch.json")
    assert stand_ins.gcloud(["batch", "jobs", "submit", "x", "--location", "us-central1", "--config", config])
    with pytest.raises((SystemExit, argparse.ArgumentError)):
        stand_ins.gcloud(["batch", "jobs", "submit", "x", "--config", config])


@pytest.mark.skipif(not shutil.which("kubectl"), reason="there is no kubectl to ask")
def test_kubectl_takes_what_it_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects are rendered and validated; of the rest the real kubectl knows the options, without any cluster."""
    monkeypatch.setenv(stand_ins.REAL_PATH, os.environ["PATH"])
    assert "4 objects" in stand_ins.kubectl(["apply", "-k", str(ROOT / "k8s/overlays/cpu")])
    assert "no cluster" in stand_ins.kubectl(["logs", "job/x", "--tail=5"])
    for wrong in (["logs", "job/x", "--tial=5"], ["apply", "-k", str(ROOT / "docs")]):
        with pytest.raises(ValueError, match=r"."):
            stand_ins.kubectl(wrong)
