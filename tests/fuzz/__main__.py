"""The command behind ``scripts/fuzz``."""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz.campaign import UNCLASSIFIED, Outcome, Run, hunt
from tests.fuzz.mutants import mutant


def main() -> int:
    """Run a campaign, print its table, and return 1 if anything in it must not be."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description="Damage small models at random and run the job.")
    parser.add_argument("--count", type=int, default=20_000, help="mutants in all (20000)")
    parser.add_argument("--campaign", type=int, default=1, help="the seed of all of them (1)")
    parser.add_argument("--batch", type=int, default=100, help="mutants in one run of the job (100)")
    parser.add_argument("--lanes", type=int, default=2, help="runs at a time (2)")
    parser.add_argument("--home", type=Path, default=Path("out/fuzz"), help="where it is kept (out/fuzz)")
    parser.add_argument("--write", type=int, help="write this one mutant below --home, and run nothing")
    asked = parser.parse_args()
    if asked.write is not None:
        mutant(asked.campaign, asked.write).write(asked.home)
        return 0
    runs = []
    for run in hunt(asked.home, campaign=asked.campaign, count=asked.count, batch=asked.batch, lanes=asked.lanes):
        runs.append(run)
        tell(run, asked.count)
    print(table(runs))
    return 1 if any(run.has_died or any(map(must_not_be, run.outcomes)) for run in runs) else 0


def tell(run: Run, count: int) -> None:
    """Say how far the campaign is, and name what must not be."""
    print(f"{run.first + len(run.outcomes)} of {count}: code {run.code} in {run.wall_s} s", file=sys.stderr, flush=True)
    for outcome in filter(must_not_be, run.outcomes):
        what = "wrongly published" if outcome.is_wrong else f"{outcome.kind}: {outcome.reason}"
        print(f"  {outcome.number} ({outcome.seed}, {outcome.mutation} of {outcome.file}): {what}", file=sys.stderr)


def must_not_be(outcome: Outcome) -> bool:
    """Tell whether an outcome is a fault of the job's."""
    return outcome.is_wrong or outcome.kind in ("lost", "internal")


def table(runs: Sequence[Run]) -> str:
    """Return what became of the mutants, by what was done to them, as Markdown."""
    outcomes = [outcome for run in runs for outcome in run.outcomes]
    kinds = [kind for kind, _ in Counter(outcome.kind for outcome in outcomes).most_common()]
    counted = Counter((outcome.mutation, outcome.kind) for outcome in outcomes)
    mutations = sorted({outcome.mutation for outcome in outcomes})
    rows = [(name, *(str(counted[name, kind]) for kind in kinds)) for name in mutations]
    rows.append(("all", *(str(sum(counted[name, kind] for name in mutations)) for kind in kinds)))
    known = [outcome for outcome in outcomes if outcome.is_known and outcome.is_damaged]
    head = [f"| mutation | {' | '.join(kinds)} |", "|---" * (len(kinds) + 1) + "|"]
    said = (
        f"{len(outcomes):,} mutants of {len({outcome.seed for outcome in outcomes})} models in {len(runs)} runs, "
        f"{sum(run.wall_s for run in runs) / 3600:.1f} h of runs. "
        f"Deaths of the job: {sum(run.has_died for run in runs)}. "
        f"Bugs (code {UNCLASSIFIED}): {sum(outcome.kind == 'internal' for outcome in outcomes)}. "
        f"Damaged ones whose digests are known: {len(known):,}, "
        f"published of these: {sum(outcome.is_wrong for outcome in known)}."
    )
    return "\n".join([said, "", *head, *(f"| {' | '.join(row)} |" for row in rows)])


if __name__ == "__main__":
    sys.exit(main())
