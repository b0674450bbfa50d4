"""The built image does the whole job in a sandbox: read-only root, no capability, no network, uid 10001."""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
MODELS = ("resnet50_checkpoint", "resnet50_frozen_pb", "resnet50_saved_model")
IMAGE = os.environ.get("TF1LIFT_TEST_IMAGE", "")
SBOM = os.environ.get("TF1LIFT_TEST_SBOM", "")
OCI = "org.opencontainers.image."
CONFIGURATION = ROOT / "scripts/containers.conf"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not IMAGE, reason="TF1LIFT_TEST_IMAGE names no image; scripts/test-image builds one"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that is mounted at /data: three models below in/, and out/ open to the container's user."""
    folder = tmp_path_factory.mktemp("data")
    folder.chmod(0o755)
    for model in MODELS:
        source = ROOT / "tests/goldens" / model
        shutil.copytree(source, folder / "in" / model, ignore=shutil.ignore_patterns("case.json", "golden.npz"))
    for name in ("out", "sharded", "interrupted"):
        (folder / name).mkdir()
        (folder / name).chmod(0o777)
    return folder


def start(data: Path, *arguments: str, **variables: str) -> "subprocess.Popen[str]":
    """Start the image's entrypoint with /data mounted."""
    command = [str(ROOT / "scripts/run-image"), "--tag", IMAGE, *arguments]
    environment = os.environ | {"DATA": str(data), "JOB_BENCHMARK": "off"} | variables
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(data: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run the image's entrypoint to its end."""
    with start(data, *arguments, **variables) as process:
        out, err = process.communicate(timeout=600)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def commits(folder: Path) -> list[str]:
    """Return the names of the artifacts that have a commit below a destination."""
    return sorted(str(path.relative_to(folder).parent.parent) for path in folder.rglob("commit.json"))


@pytest.fixture(scope="module")
def converted(data: Path) -> "subprocess.CompletedProcess[str]":
    """A run over the three models."""
    return run(data, "run", "--source", "/data/in", "--dest", "/data/out")


@pytest.fixture(scope="module")
def sbom() -> Any:
    """What the image says that it is made of."""
    return json.loads(within("cat", "/opt/sbom.cdx.json"))


def within(*command: str) -> str:
    """Return what a command prints in the image, in place of the job."""
    arguments = ["run", "--rm", "--network", "none", "--entrypoint", command[0], IMAGE, *command[1:]]
    return engine(*arguments)


def engine(*arguments: str) -> str:
    """Return what Docker or else Podman says, as scripts/run-image chooses."""
    has_docker = subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0  # noqa: S607 - either
    environment = os.environ | ({} if Path("/run/systemd/system").exists() else {"CONTAINERS_CONF": str(CONFIGURATION)})
    command = ["docker" if has_docker else "podman", *arguments]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


def test_the_image_is_as_large_as_the_docs_say() -> None:
    """At most 5 % more than the stated size: whoever makes it larger says so there; much less would be news, too."""
    (stated,) = re.findall(r"^\| cpu \| ([0-9.]+) \|", (ROOT / "docs/image.md").read_text(), re.MULTILINE)
    size_gb = int(engine("image", "inspect", "--format", "{{.Size}}", IMAGE)) / 1e9
    assert 0.8 * float(stated) <= size_gb <= 1.05 * float(stated)


def test_the_labels_say_what_the_image_is() -> None:
    """Those of the OCI image specification, each with what it is for; where its source is, is told by who builds it."""
    (labels,) = json.loads(engine("image", "inspect", "--format", "[{{json .Config.Labels}}]", IMAGE))
    said = {name.removeprefix(OCI): text for name, text in labels.items() if name.startswith(OCI)}
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    assert (said["title"], said["licenses"], said["version"]) == ("tf1lift", "Apache-2.0", version[1])
    assert said["description"]
    assert said["base.name"].startswith("docker.io/library/python:")
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", said["base.digest"])
    assert re.fullmatch(r"[0-9a-f]{40}|", said["revision"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|", said["created"])
    assert bool(said["created"]) == bool(said["revision"])
    assert "source" in said


def test_the_sbom_lists_every_python_package(sbom: Any) -> None:
    """What Python finds in the image is in the list, with the same versions, and nothing of the build is."""
    program = "import importlib.metadata as m; print(*(f'{d.name}=={d.version}' for d in m.distributions()))"
    there = {package.lower().replace("_", "-") for package in within("python", "-c", program).split()}
    listed = {f"{one['name']}=={one['version']}".lower().replace("_", "-") for one in packages(sbom, "pkg:pypi/")}
    main = sbom["metadata"]["component"]
    assert listed | {f"{main['name']}=={main['version']}"} == there
    assert not [name for name in listed if name.startswith(("hatchling", "cyclonedx", "pip=="))]


def test_the_sbom_lists_every_debian_package(sbom: Any) -> None:
    """And so is what Debian has installed, and the interpreter."""
    there = set(within("dpkg-query", "-W", "-f", "${Package}==${Version}\n").split())
    assert {f"{one['name']}=={one['version']}" for one in packages(sbom, "pkg:deb/debian/")} == there
    assert [one["name"] for one in packages(sbom, "pkg:generic/")] == ["python"]


@pytest.mark.skipif(not SBOM, reason="TF1LIFT_TEST_SBOM names no file; scripts/test-image writes one")
def test_the_sbom_beside_the_image_is_the_one_inside(sbom: Any) -> None:
    """``scripts/build-image --sbom FILE`` writes what the image holds."""
    assert json.loads(Path(SBOM).read_text()) == sbom


def packages(sbom: Any, kind: str) -> list[dict[str, str]]:
    """Return the components whose package URL begins so."""
    return [one for one in sbom["components"] if one["purl"].startswith(kind)]


def test_the_entrypoint_is_the_job(data: Path) -> None:
    """What follows the image's name is the job's command line."""
    ended = run(data, "--help")
    assert ended.returncode == 0
    assert "inspect" in ended.stdout


def test_the_image_converts_every_format(converted: "subprocess.CompletedProcess[str]", data: Path) -> None:
    """Checkpoint, frozen graph and SavedModel are published, by the container's own user."""
    assert converted.returncode == 0, converted.stderr[-2000:]
    assert len(commits(data / "out")) == len(MODELS)
    assert {path.stat().st_uid for path in (data / "out").rglob("commit.json")} == {10001}


@pytest.mark.usefixtures("converted")
def test_a_second_run_publishes_nothing_new(data: Path) -> None:
    """What is committed is skipped: no file is new, and none says anything else; pointers say that they were met."""

    def published() -> dict[Path, bytes]:
        files = (path for path in (data / "out").rglob("*") if path.is_file() and "_runs" not in path.parts)
        return {path: re.sub(rb'"began_s": [0-9.]+', b"", path.read_bytes()) for path in files}

    before = published()
    assert run(data, "run", "--source", "/data/in", "--dest", "/data/out").returncode == 0
    assert published() == before


def test_the_completion_index_picks_the_share(data: Path) -> None:
    """As pods of an Indexed Job, three containers together convert each of the three models once."""
    shares = []
    for index in range(3):
        before = commits(data / "sharded")
        variables = {"JOB_COMPLETION_INDEX": str(index), "JOB_SHARD_COUNT": "3"}
        ended = run(data, "run", "--source", "/data/in", "--dest", "/data/sharded", **variables)
        assert ended.returncode == 0, ended.stderr[-2000:]
        shares.append(len(commits(data / "sharded")) - len(before))
    assert sum(shares) == len(MODELS)


def test_an_empty_source_has_its_own_exit_code(data: Path) -> None:
    """The job's exit code is the container's: 43 where there is nothing to do."""
    assert run(data, "run", "--source", "/data/sharded/none", "--dest", "/data/out").returncode == 43


@pytest.fixture
def running(data: Path) -> Iterator["subprocess.Popen[str]"]:
    """A run that is at work: a model has been pulled and is being converted."""
    process = start(data, "run", "--source", "/data/in", "--dest", "/data/interrupted", "--log-format", "json")
    assert process.stderr is not None
    assert any('"stage_ended"' in line for line in process.stderr)
    yield process
    process.kill()
    process.communicate()


def test_sigterm_ends_the_container_with_its_own_code(running: "subprocess.Popen[str]") -> None:
    """As process 1 the job heeds the signal that every engine stops it with, within their ten seconds."""
    running.send_signal(signal.SIGTERM)
    running.communicate(timeout=20)
    assert running.returncode == 75
