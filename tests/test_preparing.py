import pytest

from job.errors import DeviceError, LocalIOError
from job.preparing import check_writable, probe_device
from job.settings import Settings
from job.storage import elsewhere
from job.storage.files import local_io
from job.storage.local import LocalStorage
from tests.jobs import ROOT


class Forbidden(LocalStorage):
    """A directory in which this user may not write."""

    def supports_create_only(self) -> bool:
        """See `Storage`."""
        with local_io(ROOT):
            raise PermissionError(13, "Permission denied", str(ROOT))


@pytest.mark.parametrize("contained", [True, False])
def test_a_forbidden_destination_says_how_a_container_may_write(
    monkeypatch: pytest.MonkeyPatch, *, contained: bool
) -> None:
    """The image's user is nobody that the host knows: `--user` is what most people lack."""
    monkeypatch.setattr(elsewhere, "_MARKS", (str(ROOT),) if contained else ())
    with pytest.raises(LocalIOError, match="the destination cannot be written to") as caught:
        check_writable(Forbidden(ROOT))
    assert ("docker run --user" in caught.value.remedy) is contained
    assert "permission" in caught.value.remedy


class Blind:
    """A forkserver whose workers see no GPU."""

    def run(self, *_: object, **__: object) -> object:
        """See `Forkserver`."""
        raise DeviceError("TensorFlow 2.21.0 sees no GPU", where="built for CUDA 12.9")


def test_who_asks_for_a_gpu_and_has_none_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker says what it sees, and the supervisor, which knows the machine, what is missing."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    with pytest.raises(DeviceError, match=r"built for CUDA 12\.9; unset CUDA_VISIBLE_DEVICES"):
        probe_device(Blind(), Settings(device="gpu"))  # type: ignore[arg-type]
