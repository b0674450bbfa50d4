from collections import Counter
from pathlib import Path
from random import Random

import pytest

from job.discovery import discover
from job.records import Format
from job.storage import open_source
from tests.fuzz.bytewise import BYTEWISE
from tests.fuzz.crc32c import masked_crc32c
from tests.fuzz.mutants import mutant
from tests.fuzz.seeds import SEEDS, files_of
from tests.fuzz.structured import change_graph, change_table
from tests.jobs import GOLDENS

MANY = 400


def test_a_mutant_is_made_from_its_number_alone() -> None:
    """What a campaign finds can be made again, on any machine and in any order."""
    first = [mutant(1, number) for number in range(40)]
    assert [mutant(1, number) for number in reversed(range(40))] == first[::-1]
    assert first != [mutant(2, number) for number in range(40)]


def test_seeds_are_of_every_format(tmp_path: Path) -> None:
    """At least twenty small models, and every format that the job reads is among them."""
    for name in SEEDS:
        for key, data in files_of(name).items():
            path = tmp_path / name.replace("/", "-") / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    found = discover(open_source(str(tmp_path)), only="*", all_forms=True)
    assert len(SEEDS) >= 20
    assert {artifact.format for artifact in found.artifacts} >= {
        Format.SAVED_MODEL,
        Format.GRAPH_DEF,
        Format.META_GRAPH,
        Format.KERAS_H5,
        Format.ARCHIVE,
    }
    assert [artifact.name for artifact in found.artifacts if artifact.problem] == []


def test_nearly_all_mutants_are_damaged() -> None:
    """A mutant that is its seed shows nothing; few are, and every kind of damage occurs."""
    made = [mutant(1, number) for number in range(MANY)]
    assert sum(not one.is_damaged for one in made) < MANY / 20
    assert {one.mutation for one in made} >= {*BYTEWISE, "change_graph", "change_table"}
    assert 0.2 < sum(one.is_known for one in made) / MANY < 0.4
    assert min(Counter(one.seed for one in made).values()) > 1


@pytest.mark.parametrize("name", BYTEWISE)
def test_damage_to_the_smallest_file(name: str) -> None:
    """A file of one byte can be damaged too."""
    assert isinstance(BYTEWISE[name](b"1", Random(0)), bytes)


def test_changed_graphs_still_parse() -> None:
    """Most structured damage gets behind the parser, which stops most of the other kind."""
    data = (GOLDENS / "cond_frozen" / "frozen.pb").read_bytes()
    changed = {change_graph(data, Random(number)) for number in range(60)}
    assert len(changed) > 50


def test_changed_tables_have_a_right_checksum() -> None:
    """The damage gets behind the checksum of the table: TensorFlow's reader would see it."""
    assert masked_crc32c(b"123456789") == 0xC78AB0E5  # the check value of CRC-32C, E3069283, masked
    data = (GOLDENS / "ref_variables_checkpoint" / "model.ckpt-0.index").read_bytes()
    changed = change_table(data, Random(3))
    assert len(changed) == len(data)
    assert changed != data
