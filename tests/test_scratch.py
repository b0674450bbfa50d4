import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from job.errors import LocalIOError
from job.scratch import LEAST_BYTES, scratch_directory


def test_the_directory_lasts_as_long_as_it_is_used(tmp_path: Path) -> None:
    """It is the run's own, and nothing of it stays."""
    with scratch_directory(str(tmp_path)) as directory:
        assert directory.parent == tmp_path
        (directory / "file").touch()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("free_bytes", [0, LEAST_BYTES - 1])
def test_a_full_disk_is_told_before_a_worker_dies_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_bytes: int
) -> None:
    """Workers that cannot write what they found end without a word, and look like a broken device."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free_bytes))
    with (
        pytest.raises(LocalIOError, match="scratch has too little room") as caught,
        scratch_directory(str(tmp_path)),
    ):
        pass
    assert "--scratch" in caught.value.remedy
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    """The option is named that chooses another."""
    with pytest.raises(LocalIOError, match="choose another --scratch"), scratch_directory(str(tmp_path / "none")):
        pass
