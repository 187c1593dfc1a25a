"""The bound: what it lets through, what it stops, and the line it says."""

import dataclasses

import pytest
from structlog.testing import capture_logs

from bidrec.config import Drift
from bidrec.errors import ContractError
from bidrec.storage.sealed import read_json, read_manifest
from bidrec.training_set.build import build_training_set
from bidrec.training_set.drift import SERVING, shifts_of
from tests.training_set.tables import config_of, day, schema_of, write_features

REFUSE = Drift(refuse=True, max_psi=1.0)


def world(broken_from=999.0, **broken):
    """600 notices over 90 days, four places and two buyers evenly; from a day on, some columns have other values."""
    notices = [
        {
            "notice_id": f"n{i:03d}",
            "published_at": day(i * 0.15),
            "title": "Road works",
            "buyer_id": f"b{i % 2}",
            "place": f"place {i % 4}",
            "log_value": float(i % 7),
            **(broken if i * 0.15 >= broken_from else {}),
        }
        for i in range(600)
    ]
    return notices, [(n["notice_id"], f"c{i % 9}", day(i * 0.15 + 1), True) for i, n in enumerate(notices)]


def build(home, drift, *tables):
    schema, config = write_features(home, *tables), dataclasses.replace(config_of(home), drift=drift)
    build_training_set(config, schema, home / "set")
    return config, schema


def today(config, schema, as_of=None):
    """The figures of the newest rows, read with the fit of the set that was built."""
    folder = config.home_path / "today"
    return build_training_set(config, schema, folder, config.home_path / "set", as_of)["statistics"]


def test_a_steady_market_is_let_through_and_its_figures_are_in_the_manifest(tmp_path):
    build(tmp_path, REFUSE, *world())
    place = read_manifest(tmp_path / "set")["statistics"]["notice"]["place"]
    assert {window: figures["cardinality"] for window, figures in place.items()} == {
        "training": 4,
        "validation": 4,
        "test": 4,
    }
    assert place["test"]["psi"] < place["test"]["psi_by_chance"]
    assert (
        read_json(tmp_path / "set" / "statistics.json")["notice"]["place"]["rows"] == place["training"]["rows"] == 267
    )


def test_a_column_that_goes_missing_is_named_with_its_figures_and_nothing_is_left(tmp_path):
    with pytest.raises(ContractError) as caught:
        build(tmp_path, Drift(refuse=True, max_psi=99), *world(65, place=None, log_value=None))
    assert caught.value.message == (
        "notice field log_value: null share +83.0% in the test window, above drift.max_null_share_rise 0.2 "
        "(NULL 0.0% of 267 rows in training, 83.0% of 200 now); beyond a bound too: notice.place"
    )
    assert "drift.exceptions" in str(caught.value.hint)
    assert not (tmp_path / "set").exists()


def test_values_of_another_kind_are_a_population_shift(tmp_path):
    with pytest.raises(
        ContractError, match=r"^notice field buyer_id: population shift \(PSI\) \d+\.\d\d in the test window"
    ):
        build(tmp_path, REFUSE, *world(60, buyer_id="new"))


@pytest.mark.parametrize("name", ["buyer_id", "notice.buyer_id"])
def test_an_exception_is_held_to_nothing(tmp_path, name):
    build(tmp_path, dataclasses.replace(REFUSE, exceptions=(*REFUSE.exceptions, name)), *world(60, buyer_id="new"))


@pytest.mark.parametrize("name", ["bids_all", "bids_365d"])
def test_what_grows_with_the_age_of_a_year_of_data_is_held_to_nothing_by_default(name):
    then = {"rows": 900, "null_share": 0.0}
    figures = {"activity": {name: {"test": then | {"psi": 9.0, "psi_by_chance": 0.1}}}}
    training, read = {"activity": {name: then}}, {"activity": [name]}
    assert [shift.field for shift in shifts_of(figures, training, read, Drift(exceptions=()))] == [name]
    assert shifts_of(figures, training, read, Drift()) == []


def test_by_default_the_same_line_is_a_warning(tmp_path):
    with capture_logs() as logs:
        build(tmp_path, Drift(), *world(60, buyer_id="new"))
    (warning,) = [entry for entry in logs if entry["log_level"] == "warning"]
    assert warning["event"].startswith("notice field buyer_id: population shift")
    assert read_manifest(tmp_path / "set")


def test_what_chance_does_to_a_few_rows_is_no_shift(tmp_path):
    """The last seven notices are all at one of four places, which is luck."""
    config, schema = build(tmp_path, REFUSE, *world(88.9, place="place 0"))
    short = dataclasses.replace(config, drift=dataclasses.replace(REFUSE, serving_days=2))
    place = today(short, schema)["notice"]["place"][SERVING]
    assert place["rows"] == 7
    assert place["psi"] > REFUSE.max_psi


def test_the_newest_days_are_held_to_the_training_window_of_the_run(tmp_path):
    config, schema = build(tmp_path, REFUSE, *world())
    assert today(config, schema)["notice"]["place"][SERVING]["psi"] < 0.2
    write_features(tmp_path, *world(80, place="elsewhere"))
    with pytest.raises(ContractError, match=r"notice field place: population shift .* in the serving window"):
        today(config, schema)
    at_a_notice = int(day(78).timestamp())
    assert today(config, schema, at_a_notice)["notice"]["place"][SERVING]["rows"] == 94  # those of 14 days, and it


def test_a_column_missing_of_the_newest_notices_alone_may_be_one_that_only_the_opening_fills(tmp_path):
    config, schema = build(tmp_path, Drift(), *world(broken_from=75.0, buyer_id=None))
    with capture_logs() as logs:
        today(config, schema)
    hint = next(entry["hint"] for entry in logs if "buyer_id" in entry["event"] and "serving" in entry["event"])
    assert "is filled in after the opening, no feature may read it; otherwise look" in hint


def test_a_run_whose_statistics_are_gone_is_damaged_and_not_held_to_nothing(tmp_path):
    config, schema = build(tmp_path, REFUSE, *world())
    (tmp_path / "set" / "statistics.json").unlink()
    with pytest.raises(ContractError, match=r"statistics\.json is damaged"):
        today(config, schema)


def test_the_figures_are_those_of_the_schema(tmp_path):
    build(tmp_path, REFUSE, *world())
    statistics = read_manifest(tmp_path / "set")["statistics"]
    for side, view in zip(("notice", "profile", "version"), schema_of(tmp_path).views, strict=True):
        assert list(statistics[side]) == [field.name for field in view.fields]
