import numpy as np
import pytest

from bidrec.errors import ContractError, InputMissing
from bidrec.training_set.arrays import TrainingSet
from bidrec.training_set.build import build_training_set
from tests.training_set.tables import config_of, small_world, write_features


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    schema = write_features(home, *small_world())
    build_training_set(config_of(home), schema, home / "set")
    return home / "set"


def test_the_arrays_are_mapped_and_cannot_be_written(built):
    ts = TrainingSet.open(built)
    assert (ts.notice.rows, ts.companies, ts.profile.rows, ts.version.rows, len(ts.pair_notice)) == (10, 4, 4, 26, 22)
    assert isinstance(ts.notice.dense, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        ts.pair_version[0] = 0
    assert ts.notice_ids()[0] == "n00"
    assert ts.validation_from < ts.cutoff < ts.test_before


def test_an_unfinished_set_is_missing_input(tmp_path):
    with pytest.raises(InputMissing, match="no finished training set"):
        TrainingSet.open(tmp_path)


@pytest.mark.parametrize(
    "name",
    ["notice/dense", "notice/attributes.values", "profile/ages", "version/text.lengths", "pairs/company", "log/notice"],
)
def test_an_array_that_lost_rows_or_changed_its_type_is_refused(built, name):
    path = built / f"{name}.npy"
    kept = path.read_bytes()
    array = np.load(path)
    try:
        for broken in (array[:-1], array.astype(np.float64 if array.dtype == np.float32 else np.float32)):
            np.save(path, broken)
            with pytest.raises(ContractError, match=" holds "):
                TrainingSet.map(built, {})
    finally:
        path.write_bytes(kept)


def test_a_value_that_was_changed_is_refused_though_no_shape_tells(built):
    path = built / "pairs" / "known_at.npy"
    kept = path.read_bytes()
    np.save(path, np.load(path) + 1)
    TrainingSet.map(built, {})
    with pytest.raises(ContractError, match=f"{path} is damaged"):
        TrainingSet.open(built)
    path.write_bytes(kept)


def test_a_damaged_file_is_named_as_it_lies_there(built):
    for name in ("notice/published_at", "pairs/known_at"):
        path = built / f"{name}.npy"
        kept = path.read_bytes()
        np.save(path, np.load(path).astype(np.float32))
        with pytest.raises(ContractError, match=f"{path} holds"):
            TrainingSet.map(built, {})
        path.write_bytes(kept)
