import itertools
import tracemalloc

import duckdb
import numpy as np
import pytest

from bidrec.features.schema import Field
from bidrec.training_set.arrays import SideRows
from bidrec.training_set.encoders import encode, expression, fit

TITLE = Field(name="title", dtype="String", read="text")


def side(titles):
    connection = duckdb.connect()
    connection.execute("CREATE TABLE notice AS SELECT unnest(?::VARCHAR[]) AS title", [titles])
    return SideRows(connection, "notice", np.arange(len(titles)))


def test_long_titles_are_hashed_a_few_at_a_time(tmp_path):
    words = ["".join(letters) for letters in itertools.islice(itertools.product("abcdefgh", repeat=6), 600)]
    titles = [" ".join(words[at:] + words[:at]) for at in range(400)]
    rows = side(titles)
    tracemalloc.start()
    fitted = fit(rows, [TITLE], len(titles) - 1)
    encode(tmp_path, rows, [TITLE], fitted)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sum(map(len, titles)) > 1.6e6
    assert peak < 60e6  # together they would take 200 MB
    assert np.load(tmp_path / "text.lengths.npy").tolist() == [64] * len(titles)


@pytest.mark.parametrize("titles", [[], ["road works", None, "", "pipe works"]])
def test_the_frequency_of_a_term_is_counted_over_training_rows_alone(titles):
    fitted = fit(side(titles), [TITLE], 3)
    of_one = fit(side(titles[:3]), [TITLE], 3)
    assert (fitted.idf["title"] == of_one.idf["title"]).all()


def test_the_training_rows_are_those_of_every_block_and_not_those_of_the_first_again(monkeypatch):
    monkeypatch.setattr("bidrec.training_set.arrays.BLOCK_ROWS", 2048)
    titles = [f"{chr(0x4E00 + at)} works" for at in range(6000)]
    assert len(list(side(titles).batches({"title": "title"}))) > 1
    fitted = fit(side(titles), [TITLE], 5000)
    assert (fitted.idf["title"] == fit(side(titles[:5000]), [TITLE], 5000).idf["title"]).all()


def test_an_amount_is_read_by_its_logarithm_one_below_zero_as_none_and_a_missing_one_as_missing():
    value = expression(Field(name="value", dtype="Float64", read="dense", scale="log1p"))
    rows = duckdb.execute(f"SELECT {value} FROM (SELECT unnest([-3, 0, .5, 2, NULL]) AS value)").fetchall()
    assert rows == [(0,), (0,), (pytest.approx(np.log(1.5)),), (pytest.approx(np.log(3)),), (None,)]
