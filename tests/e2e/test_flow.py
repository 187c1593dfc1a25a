"""From an invented market's tables to recommendations: what the boxes hold, and what a second run does."""

import json
import shutil
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import duckdb
import numpy as np
import pytest
from click.testing import CliRunner
from structlog.testing import capture_logs

from bidrec import flow
from bidrec.config import Config, Drift, Publish, Split
from bidrec.errors import ConfigurationError, ContractError, GateRefused, InputMissing
from bidrec.features.feature_store import repository
from bidrec.features.registry import open_store
from bidrec.features.schema import read_schema
from bidrec.lake.ingest import ingest
from bidrec.publishing.recommend import Published
from bidrec.publishing.today import embedded_today
from bidrec.publishing.write_back import VIEWS
from bidrec.ranking.run_evaluation import evaluate_run
from bidrec.runs import lineage
from bidrec.runs.found import all_runs, find
from bidrec.runs.run import Run
from bidrec.storage.sealed import read_json, read_manifest, write_json
from bidrec.training_set.splits import iso_of
from jobs.cli import main
from tests.e2e.markets import write_toml
from tests.e2e.test_using import documented


def test_the_model_is_measured_beside_the_baselines_and_the_oracle(config: Config) -> None:
    metrics = find(config.home_path).metrics()
    frozen = metrics["metrics"]["frozen"]
    baselines = {"popularity", "buyer", "place_category", "counts", "knn", "cobidders", "summed"}
    assert set(frozen) == {"final", "towers", "oracle", "ceiling"} | baselines
    assert set(metrics["baselines"]) == baselines
    assert metrics["difference"]["model"] == metrics["rolling_difference"]["model"] == "final"
    # Some twenty companies may bid on a notice here; among so few, towers of two epochs do no better than popularity.
    oracle, final, towers, popularity = (
        frozen[name]["recall@10"] for name in ("oracle", "final", "towers", "popularity")
    )
    assert oracle > final > popularity
    assert oracle > towers
    assert set(metrics["metrics"]["rolling"]) == set(frozen)
    assert metrics["difference"]["ci"][0] <= metrics["difference"]["mean"] <= metrics["difference"]["ci"][1]


def test_an_evaluation_tells_of_each_look_at_the_test_notices(config: Config) -> None:
    with capture_logs() as logged:
        metrics, _ = evaluate_run(config, find(config.home_path))
    told = [entry["done"] for entry in logged if entry["event"] == "looking at test notices"]
    all_of_them = "{0}/{0}".format(metrics["window"]["notices"])
    assert told[-1] == all_of_them
    assert told.count(all_of_them) == 2  # frozen and rolling


def test_every_embedding_and_list_can_be_read_online_and_equals_what_was_published(config: Config) -> None:
    folder, store = config.home_path / "published" / "current", open_store(config)
    for view in VIEWS:
        key = "notice_id" if view.startswith("notice") else "company_id"
        table = duckdb.execute(f"SELECT * FROM read_parquet('{folder / view}.parquet') LIMIT 5").to_arrow_table()
        column = table.column_names[-1]
        online = store.get_online_features(
            features=[f"{view}:{column}", f"{view}:run_id"],
            entity_rows=[{key: name} for name in table[key].to_pylist()],
        ).to_dict()
        assert online["run_id"] == [find(config.home_path).id] * table.num_rows
        for read, written in zip(online[column], table[column].to_pylist(), strict=True):
            np.testing.assert_array_equal(np.float32(read), np.float32(written))


def test_what_is_published_is_the_final_ranking_of_the_run_as_of_today(config: Config) -> None:
    run, folder = find(config.home_path), config.home_path / "published" / "current"
    assert read_manifest(run.second_stage)
    assert read_manifest(run.validated)
    with embedded_today(config, read_schema(config), run) as today:
        written = duckdb.execute(
            f"SELECT notice_id, company_ids, scores FROM '{folder}/notice_recommendations.parquet' ORDER BY 1"
        ).fetchall()
        place = {notice_id: row for row, notice_id in enumerate(today.vectors.notice_ids)}
        rows = np.array([place[notice_id] for notice_id, _, _ in written])
        scores_OC = today.ranker.scores(today.notice_row[rows])[:, today.company_row]
        for row, (_, company_ids, scores) in enumerate(written):
            company = np.searchsorted(today.vectors.company_ids, company_ids)
            assert scores == sorted(scores, reverse=True)
            chance = today.ranker.blend.probabilities(scores_OC[row])
            np.testing.assert_allclose(chance[company], scores, rtol=1e-3, atol=1e-3)
            chance[~today.eligible.mask(today.notice_row[rows[row : row + 1]], today.company_row)[0]] = 0
            assert np.delete(chance, company).max() <= min(scores, default=0) + 1e-3


def test_no_published_list_of_either_direction_has_a_company_that_may_not_bid(config: Config) -> None:
    published, features = config.home_path / "published" / "current", config.home_path / "features"
    with duckdb.connect() as connection:
        connection.execute(
            f"""CREATE MACRO outside(wanted, held) AS
                len(wanted) > 0 AND held IS NOT NULL AND NOT list_has_any(wanted, held);
            CREATE VIEW barred AS SELECT notice_id, company_id
            FROM '{features}/notice/*.parquet' CROSS JOIN (
                SELECT company_id, max_by([region], known_at) AS regions, max_by(licences, known_at) AS licences
                FROM '{features}/company_profile/*.parquet' WHERE region IS NOT NULL GROUP BY company_id)
            WHERE outside(region_limit, regions) OR outside(licence_limit, licences);
            CREATE VIEW listed AS
            SELECT notice_id, unnest(company_ids) AS company_id FROM '{published}/notice_recommendations.parquet'
            UNION ALL
            SELECT unnest(notice_ids), company_id FROM '{published}/company_recommendations.parquet'"""
        )
        listed, barred, both = (
            connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0]
            for table in (
                "listed",
                "barred SEMI JOIN listed USING (notice_id)",
                "barred SEMI JOIN listed USING (notice_id, company_id)",
            )
        )
    assert listed
    assert barred
    assert not both


def test_the_words_beside_what_is_published_are_those_of_the_lake_in_the_order_of_their_ids(config: Config) -> None:
    folder, lake = config.home_path / "published" / "current", config.home_path / "lake"
    manifest = read_manifest(folder) or {}
    unit = "nullif(coalesce(unit_name, unit), coalesce(buyer_name, buyer_id))"  # where it is not the buyer itself
    columns = f"notice_id, title, coalesce(buyer_name, buyer_id), {unit}, place, value, currency, published_at"
    notices = duckdb.sql(f"SELECT {columns} FROM '{lake}/notice/*.parquet' ORDER BY notice_id").fetchall()
    assert [row[:-1] for row in duckdb.sql(f"FROM '{folder}/notices.parquet'").fetchall()] == notices
    assert all(any(row[column] for row in notices) for column in (2, 3))
    profiles = duckdb.sql(
        f"SELECT company_id, name, region FROM '{lake}/company/*.parquet' ORDER BY known_at"
    ).fetchall()
    newest = {company: (name, region) for company, name, region in profiles}
    bids = duckdb.execute(
        f"SELECT company_id, count(*), max(known_at) FROM '{lake}/bid/*.parquet' WHERE known_at <= $1 GROUP BY 1",
        [datetime.fromisoformat(manifest["as_of"])],
    ).fetchall()
    known = {company: (number, last) for company, number, last in bids}
    assert duckdb.sql(f"FROM '{folder}/companies.parquet'").fetchall() == [
        (company, *newest.get(company, (None, None)), *known.get(company, (0, None)))
        for company in sorted(newest.keys() | known.keys())
    ]
    (lists,) = duckdb.sql(f"SELECT count(*) FROM '{folder}/notice_recommendations.parquet'").fetchall()[0]
    assert 0 < manifest["open_notices"] == lists < len(notices)


def test_a_recommendation_list_is_read_as_it_was_written(config: Config) -> None:
    published = Published(config.home_path)
    notice_id = published.an_open_notice()
    assert notice_id
    notice, companies = published.companies_for(notice_id, 20)
    assert notice["notice_id"] == notice_id
    written = duckdb.execute(
        "SELECT company_ids, scores FROM read_parquet(?) WHERE notice_id = ?",
        [str(published.folder / "notice_recommendations.parquet"), notice_id],
    ).fetchone()
    assert written
    assert [row["company_id"] for row in companies] == written[0]
    assert [row["rank"] for row in companies] == list(range(1, len(written[0]) + 1))
    company, notices = published.notices_for(companies[0]["company_id"], 5)
    assert company["company_id"] == companies[0]["company_id"]
    assert [row["score"] for row in notices] == sorted((row["score"] for row in notices), reverse=True)


def test_more_than_the_whole_catalogue_is_the_whole_catalogue(config: Config) -> None:
    published = Published(config.home_path)
    companies = published.companies_near([1.0] * config.model.embedding_dim, 10_000)
    count = duckdb.execute(f"SELECT count(*) FROM '{published.folder}/company_embedding.parquet'").fetchone()
    assert count == (len(companies),)


@pytest.mark.parametrize("ask", ["companies_for", "notices_for"])
def test_an_unknown_id_is_missing_input_and_not_an_empty_list(config: Config, ask: str) -> None:
    with pytest.raises(InputMissing, match="no-such-id"):
        getattr(Published(config.home_path), ask)("no-such-id", 10)


def test_run_and_publication_tell_their_lineage_and_everything_it_names_is_there(config: Config) -> None:
    run, published = find(config.home_path), config.home_path / "published" / "current"
    trained, written = read_manifest(run.folder), read_manifest(published)
    assert trained
    assert written
    for manifest, job, parent in ((trained, "train", None), (written, "write-back", run.id)):
        facts = manifest["lineage"]
        assert (facts["job"], facts["parent"]) == (job, parent)
        began, ended = map(datetime.fromisoformat, (facts["started_at"], manifest["finished_at"]))
        assert began <= ended
        assert {"bidrec", "revision", "image"} <= manifest.keys()
        assert facts["inputs"] == lineage.inputs(config)
    assert all((run.folder / name).exists() for name in trained["lineage"]["outputs"])
    files = [name for name in written["lineage"]["outputs"] if name in written["files"]]
    store = open_store(config)
    views = {f"{store.config.online_store.type}:{view.name}" for view in store.list_feature_views()}
    assert len(files) == len(VIEWS)
    assert set(written["lineage"]["outputs"]) - set(files) <= views


def test_where_nothing_has_changed_a_training_is_what_it_was_and_gets_the_page_it_lacks(copy: Config) -> None:
    run = find(copy.home_path)
    run.page.unlink()
    assert flow.train(copy).id == run.id
    assert run.page.is_file()
    assert len(all_runs(copy.home_path)) == 1


def test_a_training_by_force_starts_a_new_run_and_makes_the_same_training_set_and_weights(
    copy: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = find(copy.home_path)
    monkeypatch.setenv("BIDREC_METRICS_DIR", str(tmp_path / "metrics"))
    done = CliRunner().invoke(main, ["train", "--force", "--json", "--config", str(write_toml(copy))])
    assert done.exit_code == 0, done.stderr[-2000:]
    second = find(copy.home_path)
    assert json.loads(done.stdout)["run"] == second.id != first.id
    gauges = (tmp_path / "metrics" / "bidrec_train.prom").read_text(encoding="utf-8")
    assert f'bidrec_run_info{{job="train",run="{second.id}"}} 1' in gauges
    assert 'bidrec_rows{job="train",table="notice"} 1200' in gauges
    for name in ("training_set/manifest.json", "model/weights.safetensors", "second_stage/blend.json"):
        assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes()


def test_an_unfinished_run_is_gone_on_with_and_not_started_anew(copy: Config) -> None:
    run = find(copy.home_path)
    (run.folder / "manifest.json").unlink()
    weights = (run.model / "weights.safetensors").stat().st_mtime_ns
    litter = (
        copy.home_path / ".spill.killed.partial"
    )  # by a SIGKILL between the training set's rename and the sweeping up
    checkpoint = run.checkpoints / "00000007"  # by one between the model's rename and the checkpoints' deletion
    assert not run.checkpoints.exists()
    for left in (litter, checkpoint):
        left.mkdir(parents=True)
    assert flow.train(copy).id == run.id
    assert not litter.exists()
    assert not run.checkpoints.exists()
    assert (run.model / "weights.safetensors").stat().st_mtime_ns == weights
    assert len(all_runs(copy.home_path)) == 1


def test_writing_back_again_changes_no_vector_and_keeps_a_link_to_one_whole_version(copy: Config) -> None:
    before = duckdb.execute(f"SELECT * EXCLUDE written_at FROM '{_current(copy)}/company_embedding.parquet'").fetchall()
    flow.publish(copy)
    after = duckdb.execute(f"SELECT * EXCLUDE written_at FROM '{_current(copy)}/company_embedding.parquet'").fetchall()
    assert before == after
    assert (copy.home_path / "published" / "current").is_symlink()
    assert read_manifest(_current(copy))


def test_a_write_back_as_of_an_earlier_time_is_refused_and_the_published_version_stays(copy: Config) -> None:
    version, published = _current(copy), read_manifest(_current(copy)) or {}
    moment = int(datetime.fromisoformat(published["as_of"]).timestamp())
    with pytest.raises(ConfigurationError, match="older than what is published"):
        flow.publish(copy, as_of=moment - 1)
    assert _current(copy) == version


def test_a_write_back_as_of_a_moment_before_the_runs_cutoff_warns_of_hindsight_and_one_at_the_cutoff_does_not(
    copy: Config,
) -> None:
    shutil.rmtree(copy.home_path / "published")
    cutoff = (read_manifest(find(copy.home_path).training_set) or {})["split"]["cutoff"]
    warned = []
    for moment in (cutoff - 1, cutoff):
        with capture_logs() as logged:
            flow.publish(copy, as_of=moment)
        warned.append([entry["cutoff"] for entry in logged if "learned from what became known after" in entry["event"]])
    assert warned == [[iso_of(cutoff)], []]


def test_a_write_back_as_of_a_time_when_no_notice_is_open_warns_that_there_is_nothing_to_recommend(
    copy: Config,
) -> None:
    with capture_logs() as logged:
        assert flow.publish(copy)["open_notices"] > 0
    assert not any("no notice is open" in entry["event"] for entry in logged)
    words = ["write-back", "--as-of", "2040-06-01", "--json", "--config", str(write_toml(copy))]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.stderr[-2000:]
    printed = json.loads(done.stdout)
    assert (printed["as_of"], printed["open_notices"]) == ("2040-06-01T00:00:00+00:00", 0)
    assert printed.keys() == {"schema_version", "command", *documented()["write-back"]}
    (warning,) = (json.loads(line) for line in done.stderr.splitlines() if "no notice is open" in line)
    assert (warning["level"], warning["as_of"]) == ("warning", "2040-06-01T00:00:00+00:00")
    assert "--as-of" in warning["hint"]
    assert flow.publish(copy)["open_notices"] > 0  # left out, it is of today again, though that is older


def test_an_exception_to_drift_that_names_no_field_is_refused_with_the_nearest_one(copy: Config) -> None:
    def exempt(*names: str) -> None:
        flow.prepare(replace(copy, drift=Drift(exceptions=names)))

    exempt("buyer_id", "version.wins_all", "profile.region", "history_length")
    with pytest.raises(ConfigurationError) as caught:
        exempt("byer_id", "company.wins_all", *Drift().exceptions)
    assert caught.value.message == (
        "drift.exceptions: unknown field byer_id, did you mean buyer_id?; "
        "unknown field company.wins_all, did you mean version.wins_all?"
    )
    with pytest.raises(ConfigurationError, match=r"unknown field 예산 \(hint: bidrec features lists every field\)$"):
        exempt("예산")


def test_a_repository_without_a_field_that_is_an_exception_by_default_is_not_refused(
    copy: Config, tmp_path: Path
) -> None:
    shutil.copytree(repository(), tmp_path / "mine", ignore=shutil.ignore_patterns("__pycache__"))
    views = tmp_path / "mine" / "company_views.py"
    kept = [line for line in views.read_text(encoding="utf-8").splitlines(True) if '"distinct_places"' not in line]
    views.write_text("".join(kept), encoding="utf-8")
    mine = replace(copy, feature_repo=str(tmp_path / "mine"), drift=Drift(exceptions=(*Drift().exceptions, "title")))
    schema, _ = flow.prepare(mine)
    assert "distinct_places" not in {field.name for view in schema.views for field in view.fields}


def test_a_copied_home_leaves_the_online_store_of_the_first_alone(config: Config, copy: Config) -> None:
    flow.publish(copy)
    company = Published(config.home_path).companies_for(str(Published(config.home_path).an_open_notice()), 1)[1][0]
    for home in (config, copy):
        online = open_store(home).get_online_features(
            features=["company_embedding:embedding"], entity_rows=[{"company_id": company["company_id"]}]
        )
        assert online.to_dict()["embedding"][0] is not None


def test_a_company_and_a_notice_that_appear_after_training_are_published(copy: Config) -> None:
    source = copy.home_path / "source"
    _append(
        source / "company",
        "REPLACE ('0999999999' AS bizno, TIMESTAMP '2025-06-29 10:00' AS rgstdt,"
        " TIMESTAMP '2025-06-29 10:00' AS chgdt)",
        "LIMIT 1",
    )
    _append(
        source / "notice",
        "REPLACE ('20250699999' AS bidntceno, TIMESTAMP '2025-06-30 10:00' AS bidntcedt,"
        " TIMESTAMP '2025-06-30 10:00' AS rgstdt, TIMESTAMP '2025-07-05 10:00' AS bidclsedt,"
        " TIMESTAMP '2025-07-05 11:00' AS opengdt, '새로 나온 공사' AS bidntcenm)",
        "WHERE opengdt > '2025-06-30' LIMIT 1",
    )
    ingest(copy, force=True)  # anew, at the times stated: these rows would be late, and known from this year on only
    flow.publish(copy)
    published = Published(copy.home_path)
    notice, companies = published.companies_for("20250699999-000", 5)
    assert (notice["title"], len(companies)) == ("새로 나온 공사", 5)
    company, notices = published.notices_for("0999999999", 5)
    assert company["bids"] == 0
    assert notices  # as many as it may bid on


def test_a_model_below_its_baselines_is_refused_and_the_published_version_stays(copy: Config) -> None:
    version = _current(copy)
    run = find(copy.home_path)
    metrics = run.metrics()
    metrics["metrics"]["frozen"]["final"]["recall@100"] = 0.01
    write_json(run.folder / "metrics.json", metrics)
    with pytest.raises(GateRefused, match="below"):
        flow.publish(replace(copy, publish=Publish(margin=0.0)))
    assert _current(copy) == version


def test_a_model_worse_than_the_published_one_is_refused(copy: Config) -> None:
    run = find(copy.home_path)
    metrics = run.metrics()
    for name in metrics["baselines"]:
        metrics["metrics"]["frozen"][name]["recall@100"] = 0.0
    metrics["metrics"]["frozen"]["final"]["recall@100"] -= 0.05
    write_json(run.folder / "metrics.json", metrics)
    with pytest.raises(GateRefused, match="published run"):
        flow.publish(replace(copy, publish=Publish(margin=0.0)))


def test_what_each_field_is_worth_is_measured_on_demand_and_listed_from_then_on(
    copy: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIDREC_HOME", copy.home)
    before = CliRunner().invoke(main, ["features"])
    assert "not measured yet" in before.stdout
    measured = json.loads(CliRunner().invoke(main, ["features", "--importance", "--repeats", "1", "--json"]).stdout)
    field = {(field["view"], field["name"]): field for field in measured["fields"]}
    assert measured["run"] == find(copy.home_path).id
    assert field["company_activity", "history_length"]["importance"]["mean"] > 0.02
    assert field["notice_features", "value"]["importance"] is None
    assert field["notice_features", "value"]["windows"]["training"].keys() == {"rows", "null_share"}
    assert field["notice_features", "value_band"]["source"] == "notice.value"
    assert json.loads(CliRunner().invoke(main, ["features", "--json"]).stdout) == measured


def test_a_column_that_breaks_after_the_training_is_named_at_the_write_back_and_the_published_version_stays(
    copy: Config,
) -> None:
    version = _current(copy)
    _rewrite(
        copy.home_path / "source" / "notice",
        columns="* REPLACE (CASE WHEN bidntcedt < TIMESTAMP '2025-06-17' THEN bidntcenm END AS bidntcenm)",
    )
    ingest(copy, force=True)  # anew: a title that changes after the publication is none of the notice's features
    flow.publish(copy)
    version, before = _current(copy), version
    assert version != before
    with pytest.raises(ContractError, match=r"notice field title: .* in the serving window"):
        flow.publish(replace(copy, drift=Drift(refuse=True)))
    assert _current(copy) == version


def test_a_test_window_without_bids_is_refused_before_training(copy: Config) -> None:
    with pytest.raises(ConfigurationError, match="drew a bid in the test window"):
        flow.train(replace(copy, split=Split(train_before=date(2025, 6, 28), test_before=date(2025, 7, 1))))


def test_one_company_only_is_trained_and_measured_all_the_same(copy: Config) -> None:
    source = copy.home_path / "source"
    shutil.rmtree(source / "oracle")
    one = duckdb.execute(
        f"SELECT bidprccorpbizrno FROM '{source}/bid/*.parquet' GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1"
    ).fetchone()
    assert one
    for table, column in (("company", "bizno"), ("bid", "bidprccorpbizrno")):
        _rewrite(source / table, f"WHERE {column} = '{one[0]}'")
    ingest(copy, force=True)  # anew: what a source no longer says stays in the lake
    run = flow.train(copy)
    metrics = run.metrics()
    assert metrics["window"]["candidates"] == 1
    for name in ("final", "towers", "summed"):
        assert metrics["metrics"]["frozen"][name]["recall@10"] == pytest.approx(1.0)


def test_a_changed_byte_in_the_weights_is_refused_by_the_write_back(copy: Config) -> None:
    version = _current(copy)
    weights = find(copy.home_path).model / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ContractError, match="damaged"):
        flow.publish(copy)
    assert _current(copy) == version


def test_no_manifest_or_configuration_of_a_run_holds_the_source_address(config: Config) -> None:
    run = find(config.home_path)
    assert "url" not in read_json(run.folder / "config.json")["config"]["source"]
    for file in config.home_path.rglob("*.json"):
        json.loads(file.read_text(encoding="utf-8"))
        assert "postgresql://" not in file.read_text(encoding="utf-8")


def _current(config: Config) -> Path:
    return (config.home_path / "published" / "current").resolve()


def _append(folder: Path, replaced: str, which: str) -> None:
    """One more row like one that is there, but for the columns replaced."""
    duckdb.execute(
        f"COPY (SELECT * {replaced} FROM '{folder}/*.parquet' {which}) TO '{folder}/9999.parquet' (FORMAT parquet)"
    )


def _rewrite(folder: Path, which: str = "", columns: str = "*") -> None:
    table = duckdb.execute(f"SELECT {columns} FROM '{folder}/*.parquet' {which}").to_arrow_table()
    for file in folder.glob("*.parquet"):
        file.unlink()
    duckdb.register("kept", table)
    duckdb.execute(f"COPY kept TO '{folder}/0000.parquet' (FORMAT parquet)")
    duckdb.unregister("kept")


def test_runs_of_another_home_are_not_found(tmp_path: Path) -> None:
    with pytest.raises(InputMissing, match="no finished run"):
        find(tmp_path)
    assert all_runs(tmp_path) == []
    assert not Run(tmp_path / "runs" / "x").finished
