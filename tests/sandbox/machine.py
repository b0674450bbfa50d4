"""What the machine that runs the tests can confine."""

import pytest

from job.sandbox import Sandbox
from job.sandbox.rehearsal import rehearse

HELD, MISSING = rehearse()
FULL = Sandbox(landlock=7, seccomp=True)
needs_sandbox = pytest.mark.skipif(bool(MISSING), reason=f"this machine cannot confine: {MISSING}")
needs_newest = pytest.mark.skipif(HELD != FULL, reason=f"all of Landlock and seccomp is wanted, and there is {HELD}")
