"""What NVIDIA's driver tells of a GPU while it is measured (NVML); nothing where there is none."""

import importlib
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from job.results import BatchMeasurement, GpuState, GpuWatch

POWER_CAP: Final = "power cap"

REASONS: Final = {
    0x4: POWER_CAP,
    0x8: "hardware slowdown",
    0x10: "held to another GPU's clock",
    0x20: "heat, by the driver",
    0x40: "heat, by the hardware",
    0x80: "power brake from outside",
    0x100: "the display's clock",
}
"""Why a clock is lowered, by the bits of ``nvmlClocksEventReasons`` (nvml.h), but for idleness and a user's choice."""


class NoGpu:
    """Nobody to ask: on a CPU, or without NVML."""

    @property
    def environment(self) -> dict[str, str]:
        """Return what a report says about the GPU."""
        return {}

    def begin(self) -> None:
        """Begin to watch one measurement."""

    def look(self) -> None:
        """Look between two windows of a measurement."""

    def told(self, measured: BatchMeasurement) -> BatchMeasurement:
        """Return a measurement with what was seen while it was made."""
        return measured


class Gpu(NoGpu):
    """One GPU, asked through NVML; what a GPU does not tell reads as 0, and its busy share as `None`."""

    def __init__(self, nvml: Any, handle: Any) -> None:
        self._nvml, self._handle = nvml, handle
        self._throttled, self._busy = set[str](), list[float]()
        self._before = self.state()

    @property
    def environment(self) -> dict[str, str]:
        """Return the GPU's name and its driver's version."""
        name, version = self._nvml.nvmlDeviceGetName(self._handle), self._nvml.nvmlSystemGetDriverVersion()
        return {"gpu": str(name), "driver": str(version)}

    def state(self) -> GpuState:
        """Return clocks, temperature, power and what lowers the clocks now."""
        nvml = self._nvml
        return GpuState(
            sm_clock_mhz=self._asked("nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_SM),
            memory_clock_mhz=self._asked("nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_MEM),
            temperature_c=self._asked("nvmlDeviceGetTemperature", nvml.NVML_TEMPERATURE_GPU),
            power_w=self._asked("nvmlDeviceGetPowerUsage") / 1000,
            throttled=self._reasons(),
        )

    def begin(self) -> None:
        """Forget what was seen before."""
        self._throttled, self._busy, self._before = set[str](), list[float](), self.state()

    def look(self) -> None:
        """Note what lowers the clocks, and how busy the GPU was of late."""
        self._throttled.update(self._reasons())
        with suppress(self._nvml.NVMLError):
            self._busy.append(self._nvml.nvmlDeviceGetUtilizationRates(self._handle).gpu / 100)

    def told(self, measured: BatchMeasurement) -> BatchMeasurement:
        """Add what was seen; a GPU that was slowed makes a measurement unstable, but for its power cap.

        Under full load a data centre's GPU runs at its power cap and no faster: that is the speed that its users have.
        """
        seen = GpuWatch(
            before=self._before,
            after=self.state(),
            throttled=tuple(sorted(self._throttled)),
            busy=sum(self._busy) / len(self._busy) if self._busy else None,
        )
        slowed = [reason for reason in seen.throttled if reason != POWER_CAP]
        if not slowed:
            return replace(measured, gpu=seen)
        reason = "; ".join(filter(None, (measured.reason, f"the GPU was slowed: {', '.join(slowed)}")))
        return replace(measured, gpu=seen, stable=False, reason=reason)

    def _reasons(self) -> tuple[str, ...]:
        bits = self._asked("nvmlDeviceGetCurrentClocksThrottleReasons")  # its older name, which all versions know
        return tuple(reason for bit, reason in REASONS.items() if bits & bit)

    def _asked(self, question: str, *about: int) -> int:
        try:
            return int(getattr(self._nvml, question)(self._handle, *about))
        except self._nvml.NVMLError:
            return 0


def first_gpu(visible: str) -> NoGpu:
    """Return the first of CUDA's visible GPUs, by number or UUID; nobody where NVML tells of none.

    CUDA numbers the fastest first and NVML by the bus: on a machine with GPUs of several kinds they
    agree only by ``CUDA_DEVICE_ORDER=PCI_BUS_ID``.
    """
    first = visible.split(",", maxsplit=1)[0].strip()
    try:
        nvml = importlib.import_module("pynvml")
        nvml.nvmlInit()
    except Exception:  # noqa: BLE001 - no package, no driver, no right to its device: there is nobody to ask
        return NoGpu()
    try:
        by_uuid = first.startswith(("GPU-", "MIG-"))
        handle = nvml.nvmlDeviceGetHandleByUUID(first) if by_uuid else nvml.nvmlDeviceGetHandleByIndex(int(first or 0))
        return Gpu(nvml, handle)
    except (nvml.NVMLError, ValueError):
        return NoGpu()
