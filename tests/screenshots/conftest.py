"""The browser that looks at the reports takes their pictures."""

from tests.browser.conftest import browser

__all__ = ["browser"]
