# ruff: noqa: N802 - a driver's names are the driver's
import importlib
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from job.gpu import Gpu, NoGpu, first_gpu
from job.results import GpuState
from tests import samples


class NVMLError(Exception):
    """As in `pynvml`."""


class Nvml:
    """A driver that tells of one GPU; what is set on it is what is told."""

    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0
    NVMLError = NVMLError

    def __init__(self) -> None:
        self.clocks_mhz, self.heat_c, self.reasons, self.busy = {1: 1980, 2: 2619}, 41, 0, 97
        self.is_mute = False
        self.asked_for: Any = None

    def nvmlInit(self) -> None:
        """Begin."""

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:
        """Return the handle of a GPU, of which there are two."""
        self.asked_for = index
        if index > 1:
            raise NVMLError
        return "handle"

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        """Return the handle of a GPU."""
        self.asked_for = uuid
        return "handle"

    def nvmlDeviceGetName(self, _: str) -> str:
        """Return its name."""
        return "NVIDIA H200"

    def nvmlSystemGetDriverVersion(self) -> str:
        """Return the driver's version."""
        return "570.86.15"

    def nvmlDeviceGetClockInfo(self, handle: str, kind: int) -> int:
        """Return a clock."""
        assert handle == "handle"
        return self.clocks_mhz[kind]

    def nvmlDeviceGetTemperature(self, _: str, kind: int) -> int:
        """Return the temperature."""
        assert kind == 0
        return self.heat_c

    def nvmlDeviceGetPowerUsage(self, _: str) -> int:
        """Return the power, in mW; a part of a GPU has none of its own."""
        if self.is_mute:
            raise NVMLError
        return 698_500

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, _: str) -> int:
        """Return bits."""
        return self.reasons

    def nvmlDeviceGetUtilizationRates(self, _: str) -> Any:
        """Return percents."""
        if self.is_mute:
            raise NVMLError
        return SimpleNamespace(gpu=self.busy)


MEASURED = samples.measurement(8, 100.0, 1.2)


def watched(nvml: Nvml, *looks: tuple[int, int]) -> Any:
    """Return a measurement during which reasons and busy shares were seen."""
    seen = Gpu(nvml, "handle")
    seen.begin()
    for nvml.reasons, nvml.busy in looks:
        seen.look()
    nvml.reasons = 0
    return seen.told(MEASURED)


def test_clocks_heat_and_power_are_told_before_and_after() -> None:
    """In MHz, degrees and watts."""
    nvml = Nvml()
    seen = Gpu(nvml, "handle")
    seen.begin()
    nvml.clocks_mhz[1], nvml.heat_c = 1755, 63
    told = seen.told(MEASURED).gpu
    assert told is not None
    assert told.before == GpuState(sm_clock_mhz=1980, memory_clock_mhz=2619, temperature_c=41, power_w=698.5)
    assert told.after == replace(told.before, sm_clock_mhz=1755, temperature_c=63)
    assert seen.environment == {"gpu": "NVIDIA H200", "driver": "570.86.15"}


def test_busy_is_the_mean_of_what_was_seen() -> None:
    """Over all windows of the measurement, and none before it."""
    told = watched(Nvml(), (0, 100), (0, 90))
    assert told.gpu.busy == pytest.approx(0.95)
    assert (told.stable, told.reason) == (True, "")


@pytest.mark.parametrize(
    ("bits", "reason"), [(0x40, "heat, by the hardware"), (0x8 | 0x80, "power brake from outside")]
)
def test_a_slowed_gpu_makes_a_measurement_unstable(bits: int, reason: str) -> None:
    """One window is enough, and the reason is said."""
    told = watched(Nvml(), (0, 100), (bits, 100), (0, 100))
    assert not told.stable
    assert told.reason.startswith("the GPU was slowed: ")
    assert reason in told.reason


@pytest.mark.parametrize("bits", [0x1, 0x2, 0x4])
def test_idle_chosen_and_capped_clocks_are_stable(bits: int) -> None:
    """An idle GPU, a user's choice of clocks, and a power cap are how its users have it, too; the cap is told."""
    told = watched(Nvml(), (bits, 100))
    assert told.stable
    assert told.gpu.throttled == (("power cap",) if bits == 0x4 else ())


def test_slowed_is_said_beside_another_reason() -> None:
    """Windows that differ do not hide that the GPU was slowed."""
    nvml = Nvml()
    seen = Gpu(nvml, "handle")
    nvml.reasons = 0x20
    seen.look()
    assert seen.told(replace(MEASURED, stable=False, reason="restless")).reason == (
        "restless; the GPU was slowed: heat, by the driver"
    )


def test_what_a_gpu_does_not_tell_is_left_out() -> None:
    """A part of a GPU has no power and no busy share of its own."""
    nvml = Nvml()
    nvml.is_mute = True
    told = watched(nvml, (0, 50))
    assert (told.gpu.before.power_w, told.gpu.busy) == (0.0, None)


@pytest.mark.parametrize(
    ("visible", "asked_for"), [("", 0), ("1,0", 1), ("GPU-8f5b, GPU-1", "GPU-8f5b"), ("MIG-1", "MIG-1")]
)
def test_the_first_visible_gpu_is_asked(monkeypatch: pytest.MonkeyPatch, visible: str, asked_for: Any) -> None:
    """As CUDA counts those that ``CUDA_VISIBLE_DEVICES`` shows."""
    nvml = Nvml()
    monkeypatch.setattr(importlib, "import_module", lambda _: nvml)
    assert isinstance(first_gpu(visible), Gpu)
    assert nvml.asked_for == asked_for


@pytest.mark.parametrize("visible", ["7", "none"])
def test_a_gpu_that_nvml_does_not_know_is_not_watched(monkeypatch: pytest.MonkeyPatch, visible: str) -> None:
    """Nobody is asked, and the measurement is as it was."""
    monkeypatch.setattr(importlib, "import_module", lambda _: Nvml())
    seen = first_gpu(visible)
    seen.begin()
    seen.look()
    assert type(seen) is NoGpu
    assert (seen.told(MEASURED), seen.environment) == (MEASURED, {})


def test_without_nvml_there_is_silence(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """No package, or no driver: nothing is raised and nothing said."""

    def missing(name: str) -> Any:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    assert type(first_gpu("")) is NoGpu
    assert capfd.readouterr() == ("", "")
