import shutil
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser

from tests.browser import pages
from tests.browser.looking import EXTREMES, faults
from tests.jobs import GOLDENS, run_job

pytestmark = pytest.mark.browser

CASES: Final = (
    "cond_frozen",
    "custom_op_frozen",
    "estimator",
    "examples_saved_model",
    "html_frozen",
    "keep_prob_checkpoint",
    "missing_data_checkpoint",
    "multi_signature_saved_model",
    "mutable_tables_checkpoint",
    "odd_signatures_saved_model",
    "py_func_frozen",
    "resnet50_frozen_pb",
    "truncated_frozen",
    "vocabulary_saved_model",
    "while_loop_checkpoint",
)
"""One of each kind; scripts/check-reports looks at all goldens, which takes minutes."""


@pytest.mark.parametrize("name", pages.NAMES)
def test_a_page_fits_and_can_be_read_by_all(browser: Browser, tmp_path: Path, name: str) -> None:
    """No error, no request, nothing wider than the window or cut on paper, and nothing that axe-core finds."""
    assert "\n".join(faults(browser, pages.write(name, tmp_path))) == ""


@pytest.mark.slow
def test_the_reports_of_a_run_fit_too(browser: Browser, tmp_path: Path) -> None:
    """What a real run publishes, of models of every format, with those that it refuses, and its index."""
    for case in CASES:
        shutil.copytree(GOLDENS / case, tmp_path / "in" / case)
    places = ("--source", str(tmp_path / "in"), "--dest", str(tmp_path / "out"))
    ended = run_job("run", *places, "--device", "cpu", "--benchmark", "off")
    written = sorted((tmp_path / "out").rglob("*.html"))
    assert len(written) == len(CASES) + 1, ended.stderr
    found = [f"{file.relative_to(tmp_path)}: {fault}" for file in written for fault in faults(browser, file, EXTREMES)]
    assert "\n".join(found) == ""
