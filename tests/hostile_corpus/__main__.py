"""The long run, started by ``scripts/hostile-run``."""

import argparse
import json
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Final

from tests.hostile_corpus.campaign import Guard, Outcome, campaign

_GUARDS: Final[dict[str, tuple[Guard, ...]]] = {"all": ("all",), "sandbox": ("sandbox",), "both": ("all", "sandbox")}


def main() -> int:
    """Run, say what came of it, and return the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/hostile-run")
    parser.add_argument("--good", type=int, default=200, help="how many sound artifacts (200)")
    parser.add_argument(
        "--guard", choices=_GUARDS, default="both", help="what guards the job (both, one after the other)"
    )
    parser.add_argument(
        "--sandbox", choices=("require", "best-effort"), default="require", help="as the job's --sandbox"
    )
    parser.add_argument("--out", type=Path, help="where to keep each run's log and figures")
    said = parser.parse_args()
    held = [_run(guard, said.good, said.sandbox, said.out) for guard in _GUARDS[said.guard]]
    return 0 if all(held) else 1


def _run(guard: Guard, good: int, sandbox: str, out: Path | None) -> bool:
    home = Path(tempfile.mkdtemp(prefix="tf1lift-hostile-"))
    try:
        outcome = campaign(home, good=good, guard=guard, sandbox=sandbox)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    figures = figures_of(outcome)
    print(json.dumps(figures, indent=2))  # noqa: T201 - what a script is for
    if out:
        out.mkdir(parents=True, exist_ok=True)
        (out / f"hostile-{guard}.json").write_text(json.dumps(figures, indent=2))
        (out / f"hostile-{guard}.jsonl").write_text(outcome.ended.stderr)
    return not (outcome.lost or outcome.surprises or outcome.harm)


def figures_of(outcome: Outcome) -> dict[str, object]:
    """Return what a run showed, as JSON."""
    codes = Counter(outcome.code_of(case) for case in outcome.cases)
    return {
        "guard": outcome.guard,
        "wall_s": round(outcome.wall_s, 1),
        "exit_code": outcome.ended.code,
        "good": len(outcome.good),
        "good_published": len(outcome.good) - len(outcome.lost),
        "good_lost": outcome.lost,
        "hostile": len(outcome.cases),
        "hostile_by_code": {str(code): count for code, count in sorted(codes.items())},
        "surprises": outcome.surprises,
        "harm": list(outcome.harm),
    }


if __name__ == "__main__":
    sys.exit(main())
