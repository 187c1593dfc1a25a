import itertools
import tracemalloc

import duckdb
import numpy as np
import pytest

from bidrec.features.schema import Field
from bidrec.training_set.encode import encode, fit
from bidrec.training_set.rows import SideRows

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
