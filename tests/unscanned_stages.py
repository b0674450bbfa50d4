"""The engine's own stages without scanner and policy: what holds then is the sandbox alone."""

import sys
from typing import Any, Final

from job.engine import stages
from job.engine.keras import configuration, hdf5

OFF: Final = {
    "job.engine.scanning.": ("check_proto", "check_checkpoint", "check_fills"),
    "job.engine.ops.policy": ("check_ops",),
}
"""The checks by the modules that define them; others hold them under the same names."""


def _pass(*_: Any, **__: Any) -> None:
    """Find nothing wrong."""


def _switch_off() -> None:
    for module in [one for name, one in sys.modules.items() if name.startswith("job.engine.")]:
        for home, names in OFF.items():
            for name in names:
                if getattr(getattr(module, name, None), "__module__", "").startswith(home):
                    setattr(module, name, _pass)
    hdf5._check = _pass
    configuration._check_code = _pass


_switch_off()
STAGES = stages.STAGES
