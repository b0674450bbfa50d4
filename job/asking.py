"""What each stage of one artifact is asked, and where on this machine its files lie."""

from dataclasses import dataclass
from pathlib import Path

from job import keras_file
from job.pulling import local_entry
from job.records import Artifact, ArtifactOptions, DeviceReport
from job.requests import BenchmarkRequest, ConvertRequest, KerasRequest, SourceRequest, VerifyRequest, WarmUpRequest
from job.results import ParityResult
from job.settings import Settings
from job.tuning import Search
from job.worker_environment import Mode


@dataclass(frozen=True, kw_only=True)
class Asking:
    """Makes the requests of an artifact whose files are below `pulled`; all else is made below `work`."""

    settings: Settings
    options: ArtifactOptions
    artifact: Artifact
    device: DeviceReport
    pulled: Path
    work: Path

    @property
    def out(self) -> Path:
        """Return the directory of what will be published."""
        return self.work / "out"

    @property
    def saved_model(self) -> Path:
        """Return where the faithful SavedModel is written."""
        return self.out / "saved_model"

    @property
    def fast(self) -> Path:
        """Return where the variant that wins lies, if one does."""
        return self.out / "saved_model_fast"

    @property
    def keras_file(self) -> Path:
        """Return where the model for Keras 3 is written, before it is proven."""
        return self.work / "keras" / keras_file.NAME

    @property
    def tolerance(self) -> float:
        """Return what a 32-bit float may be off, of its output's scale."""
        return self.settings.tolerance if self.options.tolerance is None else self.options.tolerance

    def source(self) -> SourceRequest:
        """Return what every stage is told of the artifact."""
        return SourceRequest(
            format=self.artifact.format,
            directory=str(self.pulled),
            entry=local_entry(self.artifact),
            options=self.options,
            device=self.device.device,
        )

    def convert(self, source: SourceRequest) -> ConvertRequest:
        """Ask for the SavedModel."""
        return ConvertRequest(source=source, saved_model=str(self.saved_model))

    def proof(self, mode: Mode, source: SourceRequest) -> VerifyRequest:
        """Ask for a comparison of the SavedModel with the source's own graph."""
        return VerifyRequest(
            source=source,
            saved_model=str(self.saved_model),
            mode=mode,
            tolerance=self.tolerance,
            reference=str(self._reference),
            device=self.device.device,
            seed=self.settings.seed,
        )

    def keras(self, source: SourceRequest) -> KerasRequest:
        """Ask for the model for Keras 3, or for its comparison."""
        return KerasRequest(
            source=source, file=str(self.keras_file), reference=str(self._reference), tolerance=self.tolerance
        )

    def warm_up(self, source: SourceRequest, saved_model: Path) -> WarmUpRequest:
        """Ask for requests by which TF Serving warms a SavedModel up."""
        return WarmUpRequest(
            source=source,
            saved_model=str(saved_model),
            reference=str(self._reference),
            device=self.device.device,
        )

    def search(self, source: SourceRequest, as_run: ParityResult | None) -> Search:
        """Ask for a faster variant; `as_run` is how the faithful model compares as its users run it."""
        errors = [output.relative for output in as_run.outputs if output.relative is not None] if as_run else []
        return Search(
            source=source,
            saved_model=self.saved_model,
            fast=self.fast,
            scratch=self.work / "variants",
            proof=self.proof("as_run", source),
            precision=self.settings.precision,
            budget_s=self.settings.tune_budget,
            as_run=max(errors, default=0.0),
        )

    def benchmark(self, source: SourceRequest) -> BenchmarkRequest:
        """Ask for throughput and latency, of the fast model too if there is one."""
        return BenchmarkRequest(
            source=source,
            saved_model=str(self.saved_model),
            fast=str(self.fast) if self.fast.exists() else "",
            effort="full" if self.settings.benchmark == "full" else "quick",
            device=self.device.device,
            seed=self.settings.seed,
        )

    @property
    def _reference(self) -> Path:
        return self.work / "reference" / "answers.npz"
