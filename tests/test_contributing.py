"""CONTRIBUTING.md names what is there."""

import re
from collections.abc import Iterator

from tests.jobs import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text()


def named() -> Iterator[str]:
    """Yield the paths in the table's first column; one without a directory lies in that of the one before."""
    for row in re.findall(r"^\| (`job/.*?) \|", TEXT, re.MULTILINE):
        directory = ""
        for name in re.findall(r"`([^`]+)`", row):
            directory = f"{name.rstrip('/').rpartition('/')[0]}/" if name.startswith("job/") else directory
            yield name if name.startswith("job/") else directory + name


def test_every_path_of_the_table_is_there() -> None:
    """A module that was renamed or removed is named so here, too."""
    paths = list(named())
    assert len(paths) > 50
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_package_is_in_the_table() -> None:
    """Whoever looks for a package finds what it is for."""
    below = [*(ROOT / "job").iterdir(), *(ROOT / "job/engine").iterdir()]
    packages = {f"{path.relative_to(ROOT)}/" for path in below if (path / "__init__.py").is_file()}
    assert packages - {"job/engine/"} <= set(named())


def test_every_script_that_is_named_is_there() -> None:
    """A command that the page gives can be typed."""
    assert [name for name in re.findall(r"`(scripts/[\w-]+)", TEXT) if not (ROOT / name).is_file()] == []
