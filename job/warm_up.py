"""TF Serving's warm-up requests in a SavedModel: written where they can be, and said either way."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from job import wording
from job.errors import JobError
from job.records import Finding
from job.requests import WarmUpRequest
from job.results import WarmUpResult

FILE: Final = "assets.extra/tf_serving_warmup_requests"
"""Where TF Serving looks below a SavedModel; TensorFlow and Keras look at nothing in ``assets.extra``."""


def hold(request: WarmUpRequest, run: Callable[[], WarmUpResult]) -> Finding:
    """Run the stage; what it did not end is not left behind."""
    try:
        result = run()
    except JobError as error:
        result = WarmUpResult(reason=str(error))
    if result.reason:
        Path(request.saved_model, FILE).unlink(missing_ok=True)
        return Finding(
            code="warm_up_left_out",
            cause=f"{Path(request.saved_model).name} has no warm-up requests for TF Serving: {result.reason}",
            remedy="the first requests after a start take longer; record some of your own, see docs/serving.md",
        )
    return Finding(
        code="warm_up_written",
        cause=f"{Path(request.saved_model).name} holds {result.requests:,} warm-up requests for TF Serving, "
        f"{wording.size(result.size_bytes)}, each of which it has answered",
        remedy="a server that shall not ask them is started with --enable_model_warmup=false",
    )
