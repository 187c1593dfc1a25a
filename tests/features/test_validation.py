"""`feast validate` by the very snippets of docs/feast.md. How it ends without a reference: test_commands.py."""

import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bidrec.config import Config
from bidrec.features.build import build_features
from bidrec.features.feature_store import repository
from bidrec.features.registry import apply, materialize
from tests import tables
from tests.feature_repo.homes import VIEWS
from tests.features.lakes import write_lake

ROOT = Path(__file__).parents[2]
REFERENCE, LOG = re.findall(
    r"^```python\n(.*?)^```$", (ROOT / "docs/feast.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
)


def validate(start, end):
    from click.testing import CliRunner
    from feast.cli.cli import cli

    asked = ["validate", "--feature-service", "bidrec_v1", "--reference", "training_window"]
    done = CliRunner().invoke(cli, ["-c", str(repository()), *asked, start.isoformat(), end.isoformat()])
    return done.exit_code, re.sub(r"\x1b\[[0-9;]*m", "", done.stdout), done.stderr


def test_what_is_served_like_the_training_window_is_valid_and_what_is_not_is_named(tmp_path, monkeypatch):
    # Where tests run side by side the main module has no file: pyspark, which Great Expectations loads, then ends it.
    monkeypatch.setattr(sys.modules["__main__"], "__file__", __file__, raising=False)
    pytest.importorskip("great_expectations", reason="no Great Expectations: pip install -r requirements/validate.txt")
    import pyarrow as pa
    import pyarrow.compute as pc

    # From the tenth day on the newest notices have bidders with a history.
    write_lake(
        tmp_path,
        notice=[tables.notice(number) for number in range(12)],
        company=[tables.company(number) for number in range(4)],
        bid=[tables.bid(of, by) for of in range(12) for by in range(4)],
    )
    config = Config(home=str(tmp_path))
    build_features(config)
    apply(config)
    materialize(config, VIEWS, end=tables.notice(11)["published_at"])
    monkeypatch.setenv("BIDREC_HOME", str(tmp_path))
    monkeypatch.chdir(ROOT)

    started, names = datetime.now(UTC), {}
    exec(REFERENCE, names)
    exec(LOG, names)
    between = datetime.now(UTC)
    code, stdout, stderr = validate(started, between)
    assert (code, stdout) == (0, "1 rows were validated.\nValidation successful!\n"), stderr

    rows = names["served"](names["store"], names["service"], names["answer"])
    for name, broken in {
        "company_activity__bids_all": pc.multiply(rows["company_activity__bids_all"], 1000),
        "notice_features__title": pa.nulls(len(rows), pa.string()),
    }.items():
        rows = rows.set_column(rows.schema.get_field_index(name), name, broken)
    names["store"].write_logged_features(rows, names["service"])
    code, stdout, _ = validate(between, datetime.now(UTC))
    heading, found = stdout.split("\n", 1)
    assert (code, heading) == (1, "Validation failed!")
    assert {each["column_name"]: each["check_name"] for each in json.loads(found)} == {
        "company_activity__bids_all": "expect_column_values_to_be_between",
        "notice_features__title": "expect_column_values_to_not_be_null",
    }

    code, _, stderr = validate(datetime(2024, 1, 1, tzinfo=UTC), started)
    assert code == 66
    assert "Error: nothing was logged in" in stderr.splitlines()[-1]

    # Applying the repository anew leaves the reference alone.
    apply(config)
    assert validate(started, between)[0] == 0
