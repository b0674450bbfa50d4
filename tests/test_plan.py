import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from job import plan
from job.plan import deciding, plan_of
from job.records import ArtifactOptions, DeviceReport, Digest
from job.settings import Settings

SOURCES = (Digest(key="a", size_bytes=1, sha256="aa"), Digest(key="b", size_bytes=2, sha256="bb"))


def test_a_plan_is_the_same_whatever_the_order() -> None:
    """A second run over the same input has the same plan."""
    one = plan_of(SOURCES, {"tensorflow": "2.21.0", "tf1lift": "0.1.0"}, {"seed": 0, "tags": ("serve",)})
    other = plan_of(SOURCES[::-1], {"tf1lift": "0.1.0", "tensorflow": "2.21.0"}, {"tags": ["serve"], "seed": 0})
    assert one == other
    assert len(one) == 64
    assert set(one) <= set("0123456789abcdef")


def test_a_plan_changes_with_all_that_decides_a_result() -> None:
    """Other bytes, names, versions or options are another result."""
    renamed = (Digest(key="c", size_bytes=1, sha256="aa"), SOURCES[1])
    edited = (Digest(key="a", size_bytes=1, sha256="ac"), SOURCES[1])
    plans = {
        plan_of(SOURCES, {"tensorflow": "2.21.0"}, {"seed": 0}),
        plan_of(renamed, {"tensorflow": "2.21.0"}, {"seed": 0}),
        plan_of(edited, {"tensorflow": "2.21.0"}, {"seed": 0}),
        plan_of(SOURCES[:1], {"tensorflow": "2.21.0"}, {"seed": 0}),
        plan_of(SOURCES, {"tensorflow": "2.21.1"}, {"seed": 0}),
        plan_of(SOURCES, {"tensorflow": "2.21.0"}, {"seed": 1}),
    }
    assert len(plans) == 6


def planned(options: ArtifactOptions, **chosen: Any) -> str:
    return plan_of(SOURCES, {}, deciding(Settings(**chosen), options, DeviceReport(device="cpu", name="")))


def test_every_option_decides(tmp_path: Path) -> None:
    """An option that the plan forgets would have a run skip what was made without it."""
    file = tmp_path / "answers.npz"
    file.write_bytes(b"x")
    (tmp_path / "users_code.py").touch()
    others: dict[str, Any] = {
        "tags": ("serve",),
        "signatures": ("s",),
        "inputs": {"x": "x:0"},
        "outputs": {"y": "y:0"},
        "assets": {"a": "b"},
        "tolerance": 1.0,
        "batch_sizes": (3,),
        "samples": str(file),
        "goldens": str(file),
        "batch_norm": "inference",
        "dropout": "as_saved",
        "ema": "on",
        "op_libraries": (f"ops.so@sha256:{'a' * 64}",),
        "graph": str(file),
        "architecture": f"users_code:build@{tmp_path}",
        "rules": str(file),
        "target_tf": "2.4",
        "allow_ops": ("ReadFile",),
        "sha256": {"a": "b" * 64},
    }
    names = [option.name for option in fields(ArtifactOptions)]
    plans = {planned(replace(ArtifactOptions(), **{name: others.get(name, True)})) for name in names}
    assert len(plans - {planned(ArtifactOptions())}) == len(names)


@pytest.mark.parametrize(
    "chosen",
    [{"benchmark": "off"}, {"tolerance": 1e-3}, {"seed": 1}, {"precision": "reduced"}, {"tune_budget": 1.0}],
)
def test_settings_of_proof_and_measurement_decide(chosen: dict[str, Any]) -> None:
    """They are no artifact's options, and what was proven otherwise is another result."""
    assert planned(ArtifactOptions(), **chosen) != planned(ArtifactOptions())


def test_places_do_not_decide(tmp_path: Path) -> None:
    """Files are pulled to another directory in each run: their content counts, and a library's name and digest."""
    digest = "a" * 64
    plans = set()
    for place in ("one", "two"):
        file = tmp_path / place / "answers.npz"
        file.parent.mkdir()
        file.write_bytes(b"x")
        library = f"{tmp_path}/{place}/ops.so@sha256:{digest}"
        (tmp_path / place / "users_code.py").touch()
        code = f"users_code:build@{tmp_path}/{place}"
        options = ArtifactOptions(
            samples=str(file), graph=str(file), rules=str(file), architecture=code, op_libraries=(library,)
        )
        plans.add(planned(options, scratch=place))
    assert len(plans) == 1


@pytest.mark.parametrize("option", ["graph", "rules", "architecture"])
def test_content_of_files_decides(tmp_path: Path, option: str) -> None:
    """An edited graph, rule or function makes another model of the same checkpoint."""
    file = tmp_path / "users_code.py"
    said: Any = f"users_code:build@{tmp_path}" if option == "architecture" else str(file)
    plans = set()
    for text in ("one", "two", "one"):
        file.write_text(text)
        plans.add(planned(replace(ArtifactOptions(), **{option: said})))
    assert len(plans) == 2


def test_versions_are_told_without_importing_tensorflow() -> None:
    """The supervisor names TensorFlow's version in the plan, and never has TensorFlow."""
    before = "tensorflow" in sys.modules
    assert plan.versions()["tensorflow"].count(".") == 2
    assert ("tensorflow" in sys.modules) == before


def test_version_is_empty_where_tensorflow_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no package of TensorFlow's is installed the forkserver says so, not this."""
    monkeypatch.setattr(plan, "TENSORFLOW_PACKAGES", ("no-such-package",))
    assert plan.tensorflow_version() == ""
