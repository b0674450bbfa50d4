from dataclasses import replace
from pathlib import Path

from job.report.files import Beside, beside
from tests import samples


def test_models_are_listed_with_their_sizes_and_the_commit_comes_last(tmp_path: Path) -> None:
    """All that will be published beside the page; what is still being written has no size."""
    for name in ("saved_model/saved_model.pb", "saved_model_fast/variables/v.index", "model.keras", "log.jsonl"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(10))
    assert [(file.path, file.size_bytes) for file in beside(samples.PUBLISHED, tmp_path)] == [
        ("model.keras", 10),
        ("saved_model/saved_model.pb", 10),
        ("saved_model_fast/variables/v.index", 10),
        ("report.json", None),
        ("log.jsonl", None),
        ("../commit.json", None),
    ]


def test_a_failure_has_only_what_tells_of_it(tmp_path: Path) -> None:
    """The model that failed its parity lies there and is not published, and there is no commit."""
    (tmp_path / "saved_model").mkdir()
    (tmp_path / "saved_model" / "saved_model.pb").write_bytes(b"x")
    assert [file.path for file in beside(samples.PARITY_FAILED, tmp_path)] == ["report.json", "log.jsonl"]


def test_links_are_quoted_and_relative() -> None:
    """An asset may have any name, and none leads to another host."""
    assert Beside(path="saved_model/assets/a#b c?.txt").link == "saved_model/assets/a%23b%20c%3F.txt"
    assert Beside(path="saved_model/assets/javascript:x").link == "saved_model/assets/javascript%3Ax"


def test_what_was_published_before_has_its_own_report() -> None:
    """Nothing lies beside a page that is not written."""
    assert beside(replace(samples.ALREADY_PUBLISHED), None) == ()
