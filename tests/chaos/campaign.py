"""Many rounds, kept in a file as they end, so that a run that was stopped goes on; and the table of them all.

python -m tests.chaos.campaign needs an S3 server: see scripts/chaos.
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import chain
from pathlib import Path
from statistics import median

from job import codec
from tests.chaos.rounds import Played, Round, draw_round, play
from tests.chaos.shelves import Bucket, server


def plan(*, rounds: int, tensorflow_rounds: int, seed: int) -> list[Round]:
    """Return the rounds of a campaign; those with TensorFlow are numbered after the others."""
    fake = [draw_round(number, seed * 100_000 + number) for number in range(rounds)]
    numbers = range(rounds, rounds + tensorflow_rounds)
    return fake + [draw_round(number, seed * 100_000 + number, "tensorflow") for number in numbers]


def played_in(state: Path) -> list[Played]:
    """Return the rounds that a state file holds; one that was being written counts as not played."""
    lines = state.read_text().splitlines(keepends=True) if state.exists() else []
    return [codec.loads(line, Played) for line in lines if line.endswith("\n")]


def run(rounds: Sequence[Round], endpoint: str, *, parallel: int, state: Path) -> Iterator[Played]:
    """Play rounds, some at a time, and note each in the state file when it has ended."""
    with ThreadPoolExecutor(parallel) as pool, state.open("a") as file:
        futures = {pool.submit(_play, told, endpoint): told for told in rounds}
        for future in as_completed(futures):
            played = future.result()
            file.write(codec.dumps(played) + "\n")
            file.flush()
            yield played


def _play(told: Round, endpoint: str) -> Played:
    shelf = Bucket(endpoint)
    with tempfile.TemporaryDirectory(prefix="chaos-") as home:
        played = play(told, shelf, Path(home) / "home")
    if not played.violations:  # else it is wanted
        shelf.empty()
    return played


def table(played: Sequence[Played]) -> Iterator[str]:
    """Yield what came of the rounds, as a table in Markdown."""
    yield "| | " + " | ".join(engine for engine, _ in _groups(played)) + " |"
    yield "|---" * (1 + len(_groups(played))) + "|"
    columns = [figures(rounds) for _, rounds in _groups(played)]
    for name in dict.fromkeys(chain.from_iterable(columns)):
        yield f"| {name} | " + " | ".join(column.get(name, "0") for column in columns) + " |"


def figures(played: Sequence[Played]) -> dict[str, str]:
    """Return the figures of some rounds by their names."""
    struck = [one for each in played for one in each.struck]
    landed = Counter(one.victim for one in struck if one.landed)
    faults = sum((Counter(each.faults) for each in played), Counter[str]())
    endings = sum((Counter(each.endings) for each in played), Counter[str]())
    codes = Counter(code for each in played for code in each.codes[:-1])
    again = [each.again_s for each in played]
    counts: dict[str, object] = {
        "rounds": len(played),
        "kills that landed (sent)": f"{landed.total()} ({len(struck)})",
        **{f"kills of {victim}" if victim != "all" else "kills of all at once": landed[victim] for victim in landed},
        "faults injected": faults.total(),
        **{f"faults: {name}": times for name, times in sorted(faults.items())},
        **{f"code {code}": times for code, times in sorted(codes.items())},
        "rounds with a race at a commit": sum("lost_race" in each.endings for each in played),
        **{f"artifacts: {name}": times for name, times in sorted(endings.items())},
        "readings of the destination": sum(each.readings for each in played),
        "attempts that no commit names, which gc then removed": sum(each.midway.orphans for each in played),
        "rounds done by one more run": f"{sum(each.codes[-1] == 0 for each in played)} of {len(played)}",
        "seconds of that run, median and longest": f"{median(again):.1f}, {max(again):.1f}",
        "lost, partial or mixed results, and all else that is wrong": sum(len(each.violations) for each in played),
    }
    return {name: str(value) for name, value in counts.items()}


def _groups(played: Sequence[Played]) -> list[tuple[str, list[Played]]]:
    groups = {"fake": "fake stages", "tensorflow": "TensorFlow"}
    found = {title: [each for each in played if each.engine == engine] for engine, title in groups.items()}
    return [(title, rounds) for title, rounds in found.items() if rounds]


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Play what is not yet in the state file, print the table, and end with 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="scripts/chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200, help="with fake stages")
    parser.add_argument("--tensorflow-rounds", type=int, default=20)
    parser.add_argument("--short", action="store_true", help="six rounds, without TensorFlow")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, metavar="ROUND", help="this round alone, again")
    parser.add_argument("--parallel", type=int, default=3)
    parser.add_argument("--state", type=Path, default=None, help="a file; rounds that it holds are not played again")
    said = parser.parse_args()
    counts = (6, 0) if said.short else (said.rounds, said.tensorflow_rounds)
    rounds = plan(rounds=counts[0], tensorflow_rounds=counts[1], seed=said.seed)
    rounds = rounds if said.only is None else [told for told in rounds if told.number == said.only]
    sys.exit(_campaign(rounds, said.parallel, said.state or Path(tempfile.mkdtemp()) / "chaos.jsonl"))


def _campaign(rounds: Sequence[Round], parallel: int, state: Path) -> int:
    done = played_in(state)
    left = [told for told in rounds if told.seed not in {each.seed for each in done}]
    say(f"{len(left)} of {len(rounds)} rounds are left; they are kept in {state}")
    for played in run(left, server(), parallel=parallel, state=state):
        hit = ", ".join(one.victim for one in played.struck if one.landed)
        say(f"round {played.number} seed {played.seed}: codes {played.codes}, killed: {hit or 'none'}")
        for line in (*played.reasons, *(f"WRONG {violation}" for violation in played.violations)):
            say(f"  {line}")
        done.append(played)
    for line in table(done):
        say(line)
    return 1 if any(each.violations for each in done) else 0


if __name__ == "__main__":
    main()
