"""``python -m job``, and what it says where it cannot even begin."""

import sys
from typing import NoReturn


def _end(line: str) -> NoReturn:
    sys.stderr.write("usage: " + line + "\n")
    sys.exit(2)


if sys.version_info < (3, 10):  # noqa: UP036 - whoever has such a Python gets a line, and no traceback
    _end("this Python is too old; " + sys.version.split()[0] + "; use Python 3.10 to 3.13")
if sys.platform == "win32":
    _end("this is Windows; use Linux, its subsystem WSL 2, or the image with Docker")

try:
    from job.cli import main
except ModuleNotFoundError as error:
    _end(str(error) + "; " + sys.executable + "; install what is needed with this Python: -m pip install '.[cpu]'")

main()
