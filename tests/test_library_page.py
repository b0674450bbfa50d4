"""docs/library.md: every block of it, in order, in one process, as somebody who reads it in a notebook runs them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import blocks_of
from tests.jobs import GOLDENS, ROOT, environment

PAGE = ROOT / "docs" / "library.md"


@pytest.mark.slow
def test_every_block_of_the_page_runs(tmp_path: Path) -> None:
    """The page's code does what it says for a directory with one good and one truncated graph."""
    (tmp_path / "models").mkdir()
    for name in ("while_loop_frozen", "truncated_frozen"):
        shutil.copy(GOLDENS / name / "frozen.pb", tmp_path / "models" / f"{name}.pb")
    code = [block.text for block in blocks_of(PAGE, ROOT) if block.language == "python"]
    cheap = (
        'convert("models", "converted")',
        'convert("models", "converted", job.Settings(benchmark="off", tune_budget=0))',
    )
    program = "\n".join(["import job", *code]).replace(*cheap)
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    said = ended.stdout.splitlines()
    assert len(code) >= 6
    assert "while_loop_frozen.pb published converted/while_loop_frozen.pb/" in said[1]
    assert said[0].startswith("truncated_frozen.pb not_published ErrorRecord(exit_code=40")
    assert "nowhere" in said
    assert said[-1] == "['not_published', 'already_published']"
