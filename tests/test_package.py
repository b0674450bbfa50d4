"""Wheel and sdist hold what they should, and the installed wheel is the job."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

from tests.jobs import GOLDENS, ROOT, environment

PACKAGE = os.environ.get("TF1LIFT_TEST_PACKAGE", "")
MIB = 1 << 20

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PACKAGE, reason="TF1LIFT_TEST_PACKAGE names no directory; scripts/build-package makes one"),
]


def the_one(pattern: str) -> Path:
    """Return the package of a kind, of which there is one."""
    (path,) = Path(PACKAGE).glob(pattern)
    return path


@pytest.fixture(scope="module")
def wheel() -> Path:
    return the_one("*.whl")


@pytest.fixture(scope="module")
def in_wheel(wheel: Path) -> set[str]:
    """The files of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    """What the wheel says of itself."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (one for one in archive.namelist() if one.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that has the wheel, and takes what it needs from this one."""
    home = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(home, with_pip=False)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = home / "lib" / version / "site-packages"
    (site / "theirs.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(home / "bin" / "python")]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", "--ignore-installed", wheel], check=True)
    return home / "bin"


def said_by(programs: Path, *arguments: str) -> str:
    """Return what the installed program prints, far from the source tree."""
    plain = {name: value for name, value in environment().items() if name != "PYTHONPATH"}
    command = [str(programs / "tf1lift"), *arguments]
    return subprocess.run(command, cwd="/", env=plain, check=True, capture_output=True, text=True).stdout


def test_the_wheel_holds_every_file_of_the_package_and_no_other(in_wheel: set[str]) -> None:
    """Templates, schemas, lists of ops: what is below job/ is below job/ in the wheel, and nothing beside it."""
    files = (path for path in (ROOT / "job").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    assert {name for name in in_wheel if ".dist-info/" not in name} == {str(path.relative_to(ROOT)) for path in files}
    assert any(name.endswith(".html.j2") for name in in_wheel)
    assert "job/engine/ops/classes.yaml" in in_wheel


def test_the_metadata_say_what_an_index_shows(metadata: Message, in_wheel: set[str]) -> None:
    """Name, license with its text, the Pythons that it runs on, what it is about, and the README."""
    assert (metadata["Name"], metadata["License-Expression"]) == ("tf1lift", "Apache-2.0")
    assert metadata["Requires-Python"] == "<3.14,>=3.10"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata["Keywords"]
    classifiers = metadata.get_all("Classifier", [])
    assert {f"Programming Language :: Python :: 3.{minor}" for minor in range(10, 14)} <= set(classifiers)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in in_wheel)


def test_types_are_told(metadata: Message, in_wheel: set[str]) -> None:
    """A type checker reads the package's own types."""
    assert "Typing :: Typed" in metadata.get_all("Classifier", [])
    assert "job/py.typed" in in_wheel


def test_the_sdist_builds_and_tests() -> None:
    """The wheel was built from it; the tests and what they rely on are in it, what only a forge needs is not."""
    with tarfile.open(the_one("*.tar.gz")) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"pyproject.toml", "LICENSE", "README.md", "tests/jobs.py", "scripts/test", "requirements-dev.lock"}
    assert wanted <= names
    assert {f"tests/goldens/{path.name}" for path in GOLDENS.iterdir() if path.suffix == ".py"} <= names
    assert not [name for name in names if name.startswith((".github", ".ci", "docs/images"))]


def test_the_packages_are_small(wheel: Path) -> None:
    """The wheel is code and no data; the sdist has the goldens, which are small models."""
    assert wheel.stat().st_size < MIB
    assert the_one("*.tar.gz").stat().st_size < 8 * MIB


def test_the_installed_program_answers(installed: Path, metadata: Message) -> None:
    """Version and help come from the wheel, without the source tree."""
    assert metadata["Version"] in said_by(installed, "--version")
    assert "inspect" in said_by(installed, "--help")


def test_the_installed_program_inspects(installed: Path) -> None:
    """It lists what is there."""
    said = said_by(installed, "inspect", "--listing", str(GOLDENS / "ref_variables_saved_model"))
    assert "SavedModel" in said
