"""What confines a worker, as frozen records: plain data, so that they cross processes as JSON."""

from dataclasses import dataclass
from typing import Final, Literal

Setting = Literal["require", "best-effort", "off"]


@dataclass(frozen=True, kw_only=True)
class Sandbox:
    """What confines all workers of a run: the version of Landlock's rights, 0 for none of them, and seccomp."""

    landlock: int = 0
    seccomp: bool = False

    def __str__(self) -> str:
        layers = ([f"landlock {self.landlock}"] if self.landlock else []) + ["seccomp"] * self.seccomp
        return ", ".join([*layers, "no_new_privs"]) if layers else "off"


OFF: Final = Sandbox()


@dataclass(frozen=True, kw_only=True)
class Confinement:
    """What one worker is let at, beside what all need: files or directories it reads, directories it writes.

    `scratch` is a directory of its own, where its temporary files and its record go.
    """

    scratch: str
    sandbox: Sandbox = OFF
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    on_gpu: bool = False
