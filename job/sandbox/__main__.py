"""Confine this process and say what held, as JSON; started by `job.sandbox.rehearsal`, and ends with it."""

import json
import sys

from job.sandbox import landlock, seccomp
from job.sandbox.confinement import Confinement, Sandbox
from job.sandbox.confining import prepare


def main() -> None:
    """Try each layer by itself, and say why one does not hold."""
    prepare()
    missing = list[str]()
    version = _tried_landlock(missing)
    told = {"landlock": version, "seccomp": _tried_seccomp(missing), "missing": "; ".join(missing)}
    sys.stdout.write(json.dumps(told))


def _tried_landlock(missing: list[str]) -> int:
    try:
        version = landlock.usable_version()
        landlock.restrict(Confinement(scratch=".", sandbox=Sandbox(landlock=version)))
    except OSError as error:
        missing.append(f"Landlock ({error})")
        return 0
    return version


def _tried_seccomp(missing: list[str]) -> bool:
    try:
        seccomp.restrict(Confinement(scratch="."))
    except OSError as error:
        missing.append(f"seccomp ({error})")
        return False
    return True


if __name__ == "__main__":
    main()
