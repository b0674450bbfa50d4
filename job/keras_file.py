"""The file for Keras 3 beside the SavedModel: made where it answers the same, and said either way."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from job.errors import JobError
from job.records import Finding, Format, KerasResult, SourceSummary
from job.requests import KerasRequest

NAME: Final = "model.keras"
STAGES: Final = ("write_keras", "verify_keras")
RECOGNISED: Final = "architecture_recognised"


def is_possible(summary: SourceSummary) -> bool:
    """Whether layers are known: those of a Keras model, or of a checkpoint's recognised architecture."""
    return summary.format is Format.KERAS_H5 or any(finding.code == RECOGNISED for finding in summary.findings)


def hold(request: KerasRequest, run: Callable[[str], KerasResult]) -> Finding:
    """Run the two stages; what is not proven is not left behind."""
    result = KerasResult()
    for stage in STAGES:
        try:
            result = run(stage)
        except JobError as error:
            result = KerasResult(reason=str(error))
        if result.reason:
            Path(request.file).unlink(missing_ok=True)
            return Finding(
                code="keras_file_left_out",
                cause=f"there is no {NAME} beside the SavedModel: {result.reason}",
                remedy="use the SavedModel; in Keras 3, keras.layers.TFSMLayer loads it",
            )
    return Finding(
        code="keras_file",
        cause=f"{NAME} holds the model for Keras 3, {result.relative or 0.0:.1e} of the scale from the TF1 graph",
        remedy="load it by keras.saving.load_model",
    )
