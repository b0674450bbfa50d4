"""What a run has for its artifacts."""

from dataclasses import dataclass, field
from pathlib import Path

from job.console import Progress
from job.interrupts import Interrupts
from job.lanes import Lanes
from job.metrics import Meter, Silent
from job.pulling import PullAhead
from job.records import DeviceReport
from job.settings import Settings
from job.storage.base import Storage


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """What all artifacts of a run share."""

    settings: Settings
    dest: Storage
    scratch: Path
    device: DeviceReport
    lanes: Lanes
    progress: Progress
    ahead: PullAhead
    meter: Meter = field(default_factory=Silent)
    interrupts: Interrupts
