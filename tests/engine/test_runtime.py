from contextlib import nullcontext

import pytest
import tensorflow as tf

from job.engine import runtime
from job.engine.stages import STAGES, probe_device
from job.errors import DeviceError
from job.records import DeviceReport
from job.requests import DeviceRequest

without_gpu = pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="there is a GPU here")


@without_gpu
def test_missing_gpu_is_a_device_error() -> None:
    """Where a GPU is required and TensorFlow lists none, the error says so; what to do is the supervisor's to say."""
    with pytest.raises(DeviceError, match="sees no GPU") as caught:
        probe_device(DeviceRequest(device="gpu"))
    assert (caught.value.where[:15], caught.value.remedy) == ("built for CUDA ", "")


@without_gpu
def test_auto_takes_the_cpu_where_there_is_no_gpu() -> None:
    """Left to itself the job runs on the CPU."""
    assert probe_device(DeviceRequest(device="auto")) == DeviceReport(device="cpu", name="")


def test_cpu_is_taken_without_a_look() -> None:
    """Who asks for the CPU gets it, whatever there is."""
    assert probe_device(DeviceRequest(device="cpu")) == DeviceReport(device="cpu", name="")


def test_op_that_ran_elsewhere_is_a_device_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that is listed but does not run the op is not taken for one."""
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    monkeypatch.setattr(tf, "device", lambda _: nullcontext())
    with pytest.raises(DeviceError, match=r"an op for the GPU ran on .*CPU"):
        runtime.prove_gpu()


@pytest.mark.parametrize(
    ("mode", "grappler", "off"), [("exact", True, True), ("as_run", True, False), ("as_run", False, True)]
)
def test_session_is_set_up_like_the_worker(
    monkeypatch: pytest.MonkeyPatch, mode: runtime.Mode, *, grappler: bool, off: bool
) -> None:
    """An exact session has no Grappler; one as run has a user's defaults, or all but Grappler."""
    options: dict[str, bool] = {}
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda *_: None)
    monkeypatch.setattr(tf.config.optimizer, "set_experimental_options", options.update)
    monkeypatch.setattr(tf.config.optimizer, "get_experimental_options", lambda: options)
    runtime.configure(mode, "cpu", grappler=grappler)
    assert options.get("disable_meta_optimizer", False) is off
    assert runtime.session_config(mode).graph_options.rewrite_options.disable_meta_optimizer is off


def test_environment_names_versions_and_mode() -> None:
    """A report says what computed its numbers."""
    said = runtime.environment("exact", "cpu")
    assert (said["tensorflow"], said["device"], said["mode"]) == (tf.__version__, "cpu", "exact")


def test_every_stage_is_listed() -> None:
    """The supervisor's stages are those that a worker has."""
    making = {"probe_device", "inspect", "convert", "verify", "write_keras", "verify_keras", "warm_up"}
    assert set(STAGES) == making | {"make_variants", "race", "benchmark"}
