import sys
from pathlib import Path

import pytest

from job.errors import UsageError
from job.user_function import find_user_function, parse_user_function


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a module and a package into a directory, and work there."""
    (tmp_path / "users_module.py").write_text("raise SystemExit('imported')")
    (tmp_path / "users_package").mkdir()
    for name in ("__init__", "nets"):
        (tmp_path / "users_package" / f"{name}.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("text", ["users_module:build", "users_package.nets:Nets.small"])
def test_function_is_found_and_nothing_is_imported(here: Path, text: str) -> None:
    """A worker is told where the module lies; the job itself never runs it."""
    found = find_user_function(text)
    assert found == f"{text}@{here}"
    assert parse_user_function(found).name == text
    assert not {"users_module", "users_package"} & sys.modules.keys()


def test_function_is_found_by_the_path_of_python(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What PYTHONPATH names counts, after the working directory."""
    (here / "other").mkdir()
    (here / "other" / "users_module.py").touch()
    (here / "other" / "users_other.py").touch()
    monkeypatch.syspath_prepend(here / "other")
    assert parse_user_function(find_user_function("users_module:f")).root == str(here)
    assert parse_user_function(find_user_function("users_other:f")).root == str(here / "other")


@pytest.mark.parametrize(
    "text",
    ["", "nets", "nets:", ":build", "nets.build", "nets/resnet:build", "nets:build()", "a..b:c", "nets: b", "1:f"],
)
def test_wrong_form_is_a_usage_error(text: str) -> None:
    """The message shows the right one."""
    with pytest.raises(UsageError, match=r"names no function; give --architecture as package\.module:function"):
        parse_user_function(text)


@pytest.mark.parametrize("text", ["users_absent:build", "users_module:build@/elsewhere"])
def test_absent_module_is_a_usage_error(here: Path, text: str) -> None:
    """It is told before any work where it was looked for; another place cannot be named."""
    with pytest.raises(UsageError, match=r"no module 'users_.*' in the working directory or in PYTHONPATH"):
        find_user_function(text)
    assert (here / "users_module.py").exists()


def test_sources_beside_that_are_imported_are_content_too(here: Path) -> None:
    """A model is often in one file and its layers in another; a cycle ends, and what cannot be parsed is no error."""
    (here / "users_module.py").write_text("import users_layers.dense, numpy")
    (here / "users_layers").mkdir()
    (here / "users_layers" / "dense.py").write_text("def f():\n    from users_more import g")
    (here / "users_more.py").write_text("import users_module")
    seen = [parse_user_function(find_user_function("users_module:build")).content]
    for file in ("users_layers/dense.py", "users_more.py"):
        (here / file).write_text("edited; no Python: (")
        seen.append(parse_user_function(find_user_function("users_module:build")).content)
        (here / file).write_text("from users_more import g")
    assert len({*seen}) == len(seen)


def test_packages_that_pip_put_beside_are_no_content(here: Path) -> None:
    """So it is with ``pip install --target``, and all of TensorFlow would be read for each artifact."""
    (here / "users_module.py").write_text("import users_package.nets")
    (here / "users_package-1.0.dist-info").mkdir()
    before = parse_user_function(find_user_function("users_module:build")).content
    (here / "users_package" / "nets.py").write_text("edited")
    assert parse_user_function(find_user_function("users_module:build")).content == before


def test_installed_packages_are_followed_no_further(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is installed would be in it: a version of TensorFlow is there by itself."""
    installed = here / "site-packages"
    installed.mkdir()
    (installed / "users_installed.py").write_text("import users_library")
    (installed / "users_library.py").touch()
    monkeypatch.syspath_prepend(installed)
    before = parse_user_function(find_user_function("users_installed:f")).content
    (installed / "users_library.py").write_text("edited")
    assert parse_user_function(find_user_function("users_installed:f")).content == before


@pytest.mark.parametrize(
    ("text", "file", "decides"),
    [
        ("users_module:build", "users_module.py", True),
        ("users_module:build", "users_package/nets.py", False),
        ("users_package.nets:build", "users_package/__init__.py", True),
        ("users_package.nets:build", "users_package/more.py", True),
        ("users_package.nets:build", "users_package/notes.txt", False),
    ],
)
def test_sources_are_the_content(here: Path, text: str, file: str, decides: bool) -> None:  # noqa: FBT001 - a parameter
    """Another model comes of another source in the same package, and of nothing else that lies there."""
    before = parse_user_function(find_user_function(text)).content
    assert str(here) not in before
    (here / file).write_text("edited")
    assert (parse_user_function(find_user_function(text)).content != before) == decides
