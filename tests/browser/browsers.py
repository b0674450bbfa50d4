"""A browser that is installed already; none is downloaded."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from playwright.sync_api import Browser, sync_playwright

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def installed() -> str:
    """Return the path of the first browser of `NAMES` on the PATH; empty where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), "")


@contextmanager
def opened() -> Iterator[Browser]:
    """Start the installed browser without a window, and end it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=installed())
        try:
            yield browser
        finally:
            browser.close()
