"""The locks pin what pyproject.toml asks for, by hash, and name nobody's package index."""

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
EXTRAS = {
    "build": [],
    "sbom": [],
    "package": [],
    "cpu": ["cpu"],
    "gpu": ["gpu"],
    "dev": ["cpu", "dev"],
}
"""Which extras of pyproject.toml are in requirements-NAME.lock.

build holds what makes the wheel and nothing else, sbom what lists the image's contents, and package
what makes and checks the package.
"""


def text_of(lock: str) -> str:
    """Return a lock as text."""
    return (ROOT / f"requirements-{lock}.lock").read_text()


def pins(lock: str) -> list[Requirement]:
    """Return each pinned requirement of a lock, without its hashes."""
    return [Requirement(line.removesuffix(" \\")) for line in text_of(lock).splitlines() if re.match(r"\w", line)]


@pytest.mark.parametrize("lock", EXTRAS)
def test_a_lock_names_no_host(lock: str) -> None:
    """Whoever installs from the lock uses an index of their own."""
    assert not re.findall(r".*(?:://|--index|--extra-index|--find-links|file:).*", text_of(lock))


@pytest.mark.parametrize("lock", EXTRAS)
def test_a_lock_pins_every_package_by_hash(lock: str) -> None:
    """Each requirement is one exact version, followed by at least one SHA-256."""
    assert all(re.fullmatch(r"==[^*]+", str(pin.specifier)) for pin in pins(lock))
    hashed = re.findall(r"^\w.* \\\n    --hash=sha256:[0-9a-f]{64}\b", text_of(lock), re.MULTILINE)
    assert len(hashed) == len(pins(lock)) > 0


@pytest.mark.parametrize("lock", EXTRAS)
def test_a_lock_holds_what_pyproject_asks_for(lock: str) -> None:
    """Every dependency is pinned to a version that it admits: the lock is not older than pyproject.toml."""
    tomllib = pytest.importorskip("tomllib", reason="reading TOML came with Python 3.11")
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = pyproject["project"]
    alone = {"build": pyproject["build-system"]["requires"], **pyproject["dependency-groups"]}
    wanted = list(alone.get(lock, project["dependencies"]))
    wanted += [name for extra in EXTRAS[lock] for name in project["optional-dependencies"][extra]]
    pinned = {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in pins(lock)}
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), (
            f"{requirement}: run scripts/lock"
        )


@pytest.mark.parametrize("lock", ["cpu", "gpu"])
def test_what_is_tested_is_what_is_shipped(lock: str) -> None:
    """Every pin of the images is the tests' too, but for TensorFlow's own name and the CUDA libraries."""
    extra = {str(pin) for pin in pins(lock)} - {str(pin) for pin in pins("dev")}
    assert {name.partition("==")[0] for name in extra if not name.startswith("nvidia-")} <= {"tensorflow"}
