"""The forge's workflows: they call what is in the repository, with few rights and no secret."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.jobs import ROOT

FORGE = ROOT / ".github"
WORKFLOWS = sorted((FORGE / "workflows").glob("*.yml"))
OF_THE_RUNNER = ("docker", "echo", "gh", "grep", "sudo")

pytestmark = pytest.mark.skipif(not FORGE.is_dir(), reason="the sdist has no .github")


def read(path: Path) -> Any:
    """Read a workflow; YAML 1.1 takes its key ``on`` for true."""
    said = yaml.safe_load(path.read_text())
    return {("on" if key is True else key): value for key, value in said.items()}


def steps_of(workflow: Any) -> list[Any]:
    """Return the steps of all jobs."""
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.stem)
def workflow(request: pytest.FixtureRequest) -> Any:
    """Each of the workflows."""
    return read(request.param)


def test_there_are_two() -> None:
    """One for every change, one for a release."""
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "release.yml"]


def test_a_workflow_runs_what_is_in_the_repository(workflow: Any) -> None:
    """Every command is a script of ours, or one of the few programs that a runner has for the purpose."""
    for line in (line for step in steps_of(workflow) for line in step.get("run", "").splitlines()):
        program = line.split()[0]
        assert program in OF_THE_RUNNER or (ROOT / program).is_file(), line


def test_an_action_is_the_forges_own_and_pinned(workflow: Any) -> None:
    """By its major version at least: a branch would change under us."""
    used = [step["uses"] for step in steps_of(workflow) if "uses" in step]
    assert used
    assert [one for one in used if not re.fullmatch(r"actions/[a-z-]+@(v\d+|[0-9a-f]{40})", one)] == []


def test_rights_are_few_and_secrets_none(workflow: Any) -> None:
    """By default a token reads; what one job may write stands with that job, and no secret has to be set up."""
    assert workflow["permissions"] == {"contents": "read"}
    assert "secrets." not in str(workflow)
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 120
        assert job.get("permissions", {}).keys() <= {"contents", "packages"}
    assert workflow["concurrency"]["group"]


def test_a_checkout_leaves_no_credentials(workflow: Any) -> None:
    """The tests run models; a token in .git/config would lie in their reach."""
    checkouts = [step for step in steps_of(workflow) if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_expressions_stay_out_of_shells(workflow: Any) -> None:
    """Names of branches and tags are anybody's text: they come as variables."""
    assert [step["run"] for step in steps_of(workflow) if "${{" in step.get("run", "")] == []


def test_a_release_is_tested_before_anything_is_published() -> None:
    """Only a tag makes one, and packages and images wait for the tests."""
    release = read(FORGE / "workflows/release.yml")
    assert release["on"] == {"push": {"tags": ["v*"]}}
    jobs = release["jobs"]
    assert [name for name, job in jobs.items() if "needs" not in job] == ["test"]
    assert {step.get("run") for step in jobs["test"]["steps"]} >= {".ci/run"}
    assert set(jobs["release"]["needs"]) == {"package", "image"}


def test_the_bot_knows_where_to_look() -> None:
    """Each of its ecosystems has files here."""
    updates = yaml.safe_load((FORGE / "dependabot.yml").read_text())["updates"]
    assert {one["package-ecosystem"] for one in updates} == {"github-actions", "docker"}
    assert all((ROOT / one["directory"].lstrip("/")).is_dir() for one in updates)
