import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidrec.training_set.arrays import Growing, read


@given(st.lists(st.integers(0, 4), max_size=5), st.sampled_from([None, 0, 1, 3]))
def test_blocks_read_back_as_one_array(tmp_path_factory, sizes, width):
    path = tmp_path_factory.mktemp("npy") / "a" / "x.npy"
    blocks = [
        np.arange(n * (width if width is not None else 1)).reshape((n,) if width is None else (n, width)) for n in sizes
    ]
    with Growing(path, np.int32, width) as growing:
        for block in blocks:
            growing.append(block)
    empty = np.empty((0,) if width is None else (0, width), np.int32)
    expected = np.concatenate([empty, *blocks]).astype(np.int32)
    assert read(path).dtype == np.int32
    assert read(path).shape == expected.shape
    assert np.array_equal(read(path), expected)


def test_the_file_is_the_one_numpy_would_write(tmp_path):
    with Growing(tmp_path / "x.npy", np.float32, 2) as growing:
        growing.append(np.ones((300_000, 2)))
    np.save(tmp_path / "y.npy", np.ones((300_000, 2), np.float32))
    assert (tmp_path / "x.npy").read_bytes() == (tmp_path / "y.npy").read_bytes()


def test_a_block_of_the_wrong_width_is_refused(tmp_path):
    with Growing(tmp_path / "x.npy", np.int32, 2) as growing, pytest.raises(ValueError, match="reshape"):
        growing.append(np.ones((3, 3)))
