"""What stands in for commands that need a cluster, a cloud, a GPU or minutes: each looks at what it was given.

A page's commands are typed as they are printed; where `docker`, `kubectl`, `aws` and the like are typed, one of these
answers. What can be done without the real thing is done, the rest is checked against what the real thing takes, and
what was looked at is told through the file that the variable `SAYS_TO` names. The test itself is none of them.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import kubernetes_validate
import yaml

from tests.docs import aws

ROOT: Final = Path(__file__).parent.parent.parent
SAYS_TO: Final = "TF1LIFT_DOCS_CHECKED"
REAL_PATH: Final = "TF1LIFT_DOCS_PATH"
"""Where the real commands are that a stand-in stands before."""

IMAGE: Final = "TF1LIFT_TEST_IMAGE"
"""Names an image that `docker run` may use in place of the page's."""

PASSED_ON: Final = ("--tmpfs", "--cap-drop", "--user", "--network", "--security-opt")
"""Of a page's options those that an image is run with here as well."""

_NOWHERE: Final = "--server=http://127.0.0.1:9"


def docker(arguments: Sequence[str]) -> str:
    """Run the page's container: in the image of the tests without GPUs, else its command with the volumes' folders."""
    asked = _docker_run(arguments)
    folders = dict(reversed(volume.split(":")[:2]) for volume in asked.volume)
    if missing := [folder for folder in folders.values() if not Path(folder).is_dir()]:
        raise ValueError(f"docker would make {missing[0]}, and root would own it")
    command = _without_gpu(asked.command)
    if image := os.environ.get(IMAGE, ""):
        engine = _engine_with(image)
        _in_image(engine, image, asked, command)
        return f"{asked.image} was {image} in {Path(engine).name}, without GPUs"
    variables = dict(said.split("=", 1) if "=" in said else (said, os.environ.get(said, "")) for said in asked.env)
    here = [_outside(part, folders) for part in command]
    subprocess.run([sys.executable, "-m", "job", *here], env=os.environ | variables, check=True)
    return f"{asked.image} was this checkout without GPUs, its volumes their folders"


def _engine_with(image: str) -> str:
    """Return the real engine that holds an image; raises `ValueError` where none does."""
    for name in ("docker", "podman"):
        engine = shutil.which(name, path=os.environ[REAL_PATH])
        if (
            engine
            and not subprocess.run([engine, "image", "inspect", image], capture_output=True, check=False).returncode
        ):
            return engine
    raise ValueError(f"neither docker nor podman has {image}, which {IMAGE} names")


def _docker_run(arguments: Sequence[str]) -> argparse.Namespace:
    """Read ``docker run`` as docker does: its own options, the image, and the image's command."""
    if arguments[0] != "run":
        raise ValueError(f"nothing stands in for docker {arguments[0]}")
    parser = argparse.ArgumentParser("docker run", exit_on_error=False, add_help=False, allow_abbrev=False)
    for flag in ("--rm", "--read-only", "--interactive", "--tty"):
        parser.add_argument(flag, action="store_true")
    for option in ("--gpus", *PASSED_ON):
        parser.add_argument(option)
    parser.add_argument("-v", "--volume", action="append", default=[])
    parser.add_argument("-e", "--env", action="append", default=[])
    parser.add_argument("image")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    return parser.parse_args(arguments[1:])


def _without_gpu(command: Sequence[str]) -> list[str]:
    """Return the job's command as it is where no GPU can be had."""
    before = ("", *command)
    return ["cpu" if previous == "--device" else part for previous, part in zip(before, command, strict=False)]


def _in_image(engine: str, image: str, asked: argparse.Namespace, command: Sequence[str]) -> None:
    """Run the page's command in an image that is here, with the page's volumes and variables."""
    options = [f"--volume={volume}" for volume in asked.volume] + [f"--env={said}" for said in asked.env]
    given = {option: getattr(asked, option.removeprefix("--").replace("-", "_")) for option in PASSED_ON}
    options += [f"{option}={value}" for option, value in given.items() if value]
    ours = [f"--env={name}" for name in os.environ if name.startswith("JOB_")]
    without_systemd = (
        {} if Path("/run/systemd/system").is_dir() else {"CONTAINERS_CONF": f"{ROOT}/scripts/containers.conf"}
    )
    subprocess.run(
        [engine, "run", "--rm", *ours, *options, image, *command],
        env=os.environ | without_systemd,
        check=True,
    )


def _outside(part: str, folders: dict[str, str]) -> str:
    """Return an argument as it is outside of the container."""
    inside = next((inside for inside in folders if part == inside or part.startswith(f"{inside}/")), None)
    return part.replace(inside, folders[inside], 1) if inside else part


def kubectl(arguments: Sequence[str]) -> str:
    """Render and validate what would be applied; give the rest to the real kubectl, with no cluster to ask."""
    real = shutil.which("kubectl", path=os.environ[REAL_PATH])
    if not real:
        return "not checked, as it is not here"
    if arguments[:2] == ["apply", "-k"]:
        objects = list(yaml.safe_load_all(_output(real, "kustomize", *arguments[2:])))
        for one in objects:
            kubernetes_validate.validate(one, kubernetes_validate.latest_version(), strict=True)
        return f"{len(objects)} objects rendered and valid"
    if arguments[0] == "kustomize":
        sys.stdout.write(_output(real, *arguments))
        return "rendered"
    if arguments[0] == "create":
        sys.stdout.write(_output(real, *arguments, "--dry-run=client", "--output=yaml"))
        return "made by kubectl, and not sent"
    said = subprocess.run([real, *arguments, _NOWHERE], capture_output=True, text=True, check=False).stderr
    if "connection" not in said or "refused" not in said:
        raise ValueError(said)
    return "kubectl takes it, and there is no cluster"


def gcloud(arguments: Sequence[str]) -> str:
    """Check a command of `gcloud batch jobs` by the options that it takes, and its file."""
    if arguments[:3] not in (["batch", "jobs", "submit"], ["batch", "jobs", "describe"]):
        raise ValueError(f"nothing stands in for gcloud {' '.join(arguments)}")
    parser = argparse.ArgumentParser("gcloud", exit_on_error=False, add_help=False, allow_abbrev=False)
    parser.add_argument("name")
    parser.add_argument("--location", required=True)
    parser.add_argument("--config", type=Path)
    asked = parser.parse_args(arguments[3:])
    if asked.config:
        json.loads(asked.config.read_text())
    return "its options and its file; tests/test_engines.py checks the file's rules"


def pip(arguments: Sequence[str]) -> str:
    """Have pip make the package's metadata, and install nothing."""
    command = [sys.executable, "-m", "pip", *arguments, "--dry-run", "--no-deps", "--quiet"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode or "does not provide the extra" in ended.stderr:
        raise ValueError(ended.stderr)
    return "pip made the metadata; nothing was installed"


def venv(_: Sequence[str]) -> str:
    """Name the environment that is there in place of making one, and let it be activated."""
    place = Path(".venv/bin/activate")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(f"export PATH={Path(sys.executable).parent}:$PATH\n")
    sys.stdout.write(f"{sys.executable}\n")
    return "the environment is there already"


def tests(_: Sequence[str]) -> str:
    """Run no tests from a test."""
    return "not run, as this is one of its tests"


COMMANDS: Final[dict[str, Callable[[Sequence[str]], str]]] = {
    "aws": aws.check,
    "docker": docker,
    "gcloud": gcloud,
    "kubectl": kubectl,
    "pip": pip,
    "scripts/test": tests,
    "scripts/venv": venv,
}


def install(commands: Path, clone: Path) -> None:
    """Put the stand-ins into a folder for the PATH, and over those scripts of a clone that they stand in for."""
    commands.mkdir()
    for name in COMMANDS:
        path = clone / name if "/" in name else commands / name
        path.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m tests.docs.stand_ins {name} "$@"\n')
        path.chmod(0o755)


def _output(*command: str) -> str:
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise ValueError(ended.stderr)
    return ended.stdout


def main(name: str, arguments: Sequence[str]) -> int:
    """Answer as a command and tell what was checked; return its exit code."""
    try:
        said = COMMANDS[name](arguments)
    except subprocess.CalledProcessError as error:
        return error.returncode
    except (ValueError, argparse.ArgumentError, OSError) as error:
        sys.stderr.write(f"{name}: {error}\n")
        return 1
    with Path(os.environ[SAYS_TO]).open("a", encoding="utf-8") as told:
        told.write(f"{name}: {said}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
