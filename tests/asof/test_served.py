"""The log of what was served, as the offline store writes and reads it for `feast validate`."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from feast.data_format import ParquetFormat
from feast.feature_logging import LOG_TIMESTAMP_FIELD
from feast.infra.offline_stores.file_source import FileSource

from bidrec.asof.served import log_served, served_between
from bidrec.errors import InputMissing
from tests.asof.worlds import store

NOON, HOUR = datetime(2024, 5, 1, 12, tzinfo=UTC), timedelta(hours=1)


def rows(at, **features):
    return pa.table({LOG_TIMESTAMP_FIELD: pa.array([at], pa.timestamp("us", tz="UTC")), **features})


def test_the_log_is_read_from_one_moment_to_another_also_where_a_feature_was_added_between(tmp_path):
    config, folder = store(tmp_path).config, tmp_path / "made" / "log"
    log = FileSource(path=str(folder), file_format=ParquetFormat())
    with pytest.raises(InputMissing, match=r"cannot read the log .* store.write_logged_features writes it"):
        served_between(config, log, ["old"], NOON, NOON)
    for after, features in [(0, {"old": [1]}), (1, {"old": [2], "new": [7]}), (2, {"old": [3], "new": [8]})]:
        log_served(folder, rows(NOON + after * HOUR, **features))
    (folder / ".killed.partial").write_bytes(b"half a file")

    def read(start, end):
        found = served_between(config, log, ["old", "new"], start, end).to_arrow().select(["old", "new"])
        return sorted(map(tuple, (row.values() for row in found.to_pylist())))

    assert read(NOON, NOON + HOUR) == [(1, None), (2, 7)]
    assert read(NOON + HOUR, NOON + 2 * HOUR) == [(2, 7), (3, 8)]
    with pytest.raises(InputMissing, match="nothing was logged"):
        read(NOON + 3 * HOUR, NOON + 4 * HOUR)
    with pytest.raises(InputMissing, match="cannot read the log"):
        served_between(config, log, ["newest"], NOON, NOON)
