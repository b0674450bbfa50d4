"""The stages of `tests.stages`, each of which takes a while: a kill or a signal shall find it at work."""

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from tests.stages import STAGES as QUICK
from tests.stages import Stage

PAUSE_VARIABLE: Final = "TF_TEST_PAUSE_S"
"""Names the environment variable, one that workers see, with how long a stage waits before and after its work."""


def _slowly(run: Callable[[Any], Any], request: Any) -> Any:
    pause_s = float(os.environ.get(PAUSE_VARIABLE, "0"))
    time.sleep(pause_s)
    result = run(request)
    time.sleep(pause_s)
    return result


STAGES: Final = {name: Stage(stage.request, partial(_slowly, stage.run)) for name, stage in QUICK.items()}
