"""The mutants: damaged models, each made from its number alone, so that any of them can be made again."""

from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from tests.fuzz.bytewise import BYTEWISE
from tests.fuzz.seeds import SEEDS, Files, files_of
from tests.fuzz.structured import STRUCTURED

_GRAPHS: Final = (".pb", ".meta")
_TEXTS: Final = (".pbtxt", "checkpoint", ".txt")
_TEXTUAL: Final = ("number", "word", "number", "word", "delete", "repeat", "truncate", "flip_bits")
_OF_FILES: Final = ("lose_file", "empty_file", "swap_files", "stranger")


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One damaged model: what it was, which file was damaged, and how.

    `is_known` says that whoever published the model told its digests, so that none of it may pass.
    """

    number: int
    seed: str
    file: str
    mutation: str
    is_known: bool
    files: Files

    @property
    def name(self) -> str:
        """Return the directory that it lies in."""
        return f"m{self.number:06d}"

    @property
    def is_damaged(self) -> bool:
        """Whether a file that is there differs from what it was: some mutations change nothing, some lose a file."""
        return any(files_of(self.seed)[key] != data for key, data in self.files.items())

    def write(self, directory: Path) -> None:
        """Write the files below `directory`."""
        for key, data in self.files.items():
            path = directory / self.name / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


def mutant(campaign: int, number: int) -> Mutant:
    """Make mutant `number` of a campaign, which is a seed of random numbers: always the same one."""
    chance = Random(f"{campaign}:{number}")
    seed = chance.choice(sorted(SEEDS))
    files = dict(files_of(seed))
    file = chance.choice(sorted(files))
    mutation = _choose(file, files[file], chance)
    if mutation in _OF_FILES:
        _of_files(mutation, file, files, chance)
    else:
        files[file] = {**BYTEWISE, **STRUCTURED}[mutation](files[file], chance)
    return Mutant(number=number, seed=seed, file=file, mutation=mutation, is_known=chance.random() < 0.3, files=files)


def _choose(file: str, data: bytes, chance: Random) -> str:
    """Draw a mutation that suits the file: as often one that still parses as one that may not."""
    if not data or chance.random() < 0.03:
        return chance.choice(_OF_FILES)
    if file.endswith(_TEXTS):
        return chance.choice(_TEXTUAL)
    fitting = "change_graph" if file.endswith(_GRAPHS) else "change_table" if file.endswith(".index") else ""
    return fitting if fitting and chance.random() < 0.5 else chance.choice(sorted(BYTEWISE))


def _of_files(mutation: str, file: str, files: dict[str, bytes], chance: Random) -> None:
    other = chance.choice(sorted(files))
    if mutation == "lose_file":
        del files[file]
    elif mutation == "empty_file":
        files[file] = b""
    elif mutation == "swap_files":
        files[file], files[other] = files[other], files[file]
    else:  # what lies under its name is of another model
        stranger = files_of(chance.choice(sorted(SEEDS)))
        files[file] = stranger[chance.choice(sorted(stranger))]
