"""Look at every page below a directory with the installed browser: the second half of scripts/check-reports."""

import argparse
import sys
from pathlib import Path

from tests.browser.browsers import NAMES, installed, opened
from tests.browser.looking import VIEWS, faults


def main() -> None:
    """Print what is wrong with each page, and how many there were."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser", description=__doc__)
    parser.add_argument("directory", type=Path, help="where a run has published, or any pages lie")
    directory: Path = parser.parse_args().directory
    if not installed():
        sys.exit(f"no browser is installed: {', '.join(NAMES)}")
    files, wrong = sorted(directory.rglob("*.html")), 0
    with opened() as browser:
        for file in files:
            found = faults(browser, file)
            wrong += bool(found)
            sys.stdout.writelines(f"{file.relative_to(directory)}: {fault}\n" for fault in found)
    sys.stdout.write(f"{len(files)} pages at {len(VIEWS)} sizes and colours and on paper; {wrong} with faults\n")
    sys.exit(1 if wrong or not files else 0)


if __name__ == "__main__":
    main()
