"""What a run is told that has source and destination the wrong way round; nothing is written before."""

from pathlib import Path

import pytest

from job.errors import NoInput, UsageError
from tests.fakes import ends, put, run_here, use_fake_stages
from tests.sources import saved_model


@pytest.fixture(autouse=True)
def without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    use_fake_stages(monkeypatch)


def files(folder: Path) -> list[str]:
    """Return what lies below a directory."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def swap(folder: Path) -> None:
    """Let ``in`` and ``out`` change places."""
    (folder / "in").rename(folder / "aside")
    (folder / "out").rename(folder / "in")
    (folder / "aside").rename(folder / "out")


def test_an_empty_source_before_models_at_the_destination_is_swapped(tmp_path: Path) -> None:
    """Before the first run the destination is empty: named as source, it says where the models are."""
    put(tmp_path / "out", "a.pb")
    (tmp_path / "in").mkdir()
    with pytest.raises(NoInput, match="swap --source and --dest"):
        run_here(tmp_path)
    assert files(tmp_path / "out") == ["a.pb"]


def test_a_source_without_models_before_some_at_the_destination_is_swapped(tmp_path: Path) -> None:
    """Notes, or the reports of failures, are no models either."""
    put(tmp_path / "out", "a.pb")
    put(tmp_path / "in", "notes.txt", data=b"notes")
    with pytest.raises(NoInput, match=r"no TF1 model among the 1 objects.*swap --source and --dest"):
        run_here(tmp_path)


def test_a_source_of_nothing_says_no_more_than_that(tmp_path: Path) -> None:
    """Where the destination has no models either, nothing points at a swap."""
    (tmp_path / "in").mkdir()
    with pytest.raises(NoInput) as caught:
        run_here(tmp_path)
    assert "swap" not in caught.value.remedy


def test_a_misspelt_source_below_the_destination_is_no_swap(tmp_path: Path) -> None:
    """The models that lie there are those that were meant."""
    put(tmp_path / "out" / "models", "a.pb")
    with pytest.raises(NoInput, match=r"did you mean .*/out/models\?"):
        run_here(tmp_path, source=str(tmp_path / "out" / "modles"))


def test_a_misspelt_only_is_no_swap(tmp_path: Path) -> None:
    """The source has models: what it calls them is told, whatever lies at the destination."""
    put(tmp_path / "in", "resnet.pb")
    put(tmp_path / "out", "a.pb")
    with pytest.raises(NoInput, match=r"none of 1 artifacts fits.*the closest names are resnet\.pb"):
        run_here(tmp_path, only="rsenet.pb")


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A run's directories, the results of which are SavedModels."""
    put(tmp_path / "in", "a.pb")
    (report,) = run_here(tmp_path).reports
    for name, data in saved_model("").items():
        put(tmp_path / "out" / report.place / "saved_model", name, data=data)
    return tmp_path


def test_results_before_models_are_swapped(published: Path) -> None:
    """After the first run the destination's results are no source, and the models' directory gets no file of ours."""
    swap(published)
    before = files(published / "out")
    with pytest.raises(UsageError, match=r"holds what tf1lift has published.*swap --source and --dest"):
        run_here(published)
    assert files(published / "out") == before == ["a.pb"]


def test_results_alone_are_told_too(published: Path) -> None:
    """Without models at the destination it is what the results were made from that should be named."""
    (published / "in" / "a.pb").unlink()
    swap(published)
    with pytest.raises(UsageError, match="name what it was made from"):
        run_here(published)


def test_models_beside_results_are_converted(published: Path) -> None:
    """A source that holds both is no mistake."""
    swap(published)
    put(published / "in", "new.pb")
    assert ends(run_here(published))["new.pb"] == "published"


def test_a_result_never_lands_inside_the_source(tmp_path: Path) -> None:
    """The directory above a single artifact is no destination: the artifact's results are named as it is."""
    for name, data in saved_model("").items():
        put(tmp_path / "out" / "model", name, data=data)
    before = files(tmp_path / "out")
    with pytest.raises(UsageError, match="where its own results would go"):
        run_here(tmp_path, source=str(tmp_path / "out" / "model"))
    assert files(tmp_path / "out") == before


def test_of_a_huge_destination_only_the_first_objects_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A remedy is not worth the listing of a bucket of millions: past the bound nothing is said of a swap."""
    monkeypatch.setattr("job.swapped._LOOKED_AT", 3)
    (tmp_path / "in").mkdir()
    put(tmp_path / "out", "1.txt", "2.txt", "3.txt", data=b"notes")
    put(tmp_path / "out", "4.pb")
    with pytest.raises(NoInput) as caught:
        run_here(tmp_path)
    assert "swap" not in caught.value.remedy
