import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from job.engine.keras.hdf5 import opened
from job.errors import BadInput, Refused
from tests.engine.keras.models import dense, sequential, write

BOMB = 2**31


def soft(group: Any) -> None:
    group["link"] = h5py.SoftLink("/elsewhere")


def external(group: Any) -> None:
    group["link"] = h5py.ExternalLink("/etc/passwd", "/")


def stored_outside(group: Any) -> None:
    group.create_dataset("outside", (4,), "f4", external=[("/etc/passwd", 0, 16)])


def virtual(group: Any) -> None:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (4,))
    group.create_virtual_dataset("virtual", layout)


def bomb(group: Any) -> None:
    group.create_dataset("bomb", (BOMB,), "f4", chunks=(BOMB // 1024,), compression="gzip")


def huge_piece(group: Any) -> None:
    data = group.create_dataset("piece", (2,), "f4", chunks=(BOMB // 4,), maxshape=(None,), compression="gzip")
    data.id.write_direct_chunk((0,), zlib.compress(bytes(8)))


def foreign_filter(group: Any) -> None:
    made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    made.set_chunk((4,))
    made.set_filter(32008, h5py.h5z.FLAG_OPTIONAL, (0,))  # bitshuffle's number
    space = h5py.h5s.create_simple((4,))
    h5py.h5d.create(group.id, b"foreign", h5py.h5t.NATIVE_FLOAT, space, made)


PLANTED = [soft, external, stored_outside, virtual, bomb, huge_piece, foreign_filter]


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_file_that_leads_out_or_swells_is_refused(tmp_path: Path, plant: Callable[[Any], None]) -> None:
    """Links, data of other files, foreign filters and absurd sizes are refused before anything is read."""
    write(tmp_path, sequential(dense()))
    with h5py.File(tmp_path / "model.h5", "a") as file:
        plant(file["model_weights"]["dense"])
    with pytest.raises(Refused), opened(tmp_path / "model.h5"):
        pass


def test_array_that_was_never_written_is_bad_input(tmp_path: Path) -> None:
    """HDF5 would read zeros."""
    write(tmp_path, sequential(dense()))
    with h5py.File(tmp_path / "model.h5", "a") as file:
        file["model_weights"]["dense"].create_dataset("empty", (4,), "f4", chunks=(2,))
    with pytest.raises(BadInput, match="never written"), opened(tmp_path / "model.h5"):
        pass


def test_ring_of_groups_ends(tmp_path: Path) -> None:
    """A group that holds itself is looked at once."""
    write(tmp_path, sequential(dense()))
    with h5py.File(tmp_path / "model.h5", "a") as file:
        file["model_weights"]["dense"]["up"] = file["model_weights"]
    with opened(tmp_path / "model.h5") as stored:
        assert list(stored.layers) == ["dense"]


def test_names_in_parts_are_put_together(tmp_path: Path) -> None:
    """Lists of names above 64 kB lie in several attributes."""
    write(tmp_path, sequential(dense()))
    with h5py.File(tmp_path / "model.h5", "a") as file:
        group = file["model_weights"]["dense"]
        names = group.attrs["weight_names"]
        del group.attrs["weight_names"]
        group.attrs["weight_names0"], group.attrs["weight_names1"] = names[:1], names[1:]
    with opened(tmp_path / "model.h5") as stored:
        assert list(stored.layers["dense"]) == ["dense/kernel:0", "dense/bias:0"]
        assert np.asarray(stored.layers["dense"]["dense/kernel:0"]).shape == (3, 2)
