"""What a retrieval job of ours offers: SQL, files that are whole, saved datasets, limits."""

import duckdb
import pytest
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage

from bidrec.errors import CannotWrite, InputMissing, Interrupted
from tests.asof.worlds import OURS, answers, asked, minute, store, stores, view, write


@pytest.fixture
def home(tmp_path):
    return tmp_path


def test_entity_rows_may_be_a_select_and_never_pass_through_pandas(home):
    ours, _ = stores(home, view(write(home / "v.parquet", [("a", 1, 1), ("a", 2, 2)])))
    asked(("a", 1), ("a", 2), ("b", 2)).to_parquet(home / "pairs.parquet")
    job = ours.get_historical_features(f"SELECT * FROM '{home}/pairs.parquet'", ["versions:value"])
    assert job.to_arrow().sort_by("question")["value"].to_pylist() == [0, 1, None]
    assert (job.metadata.min_event_timestamp, job.metadata.max_event_timestamp) == (minute(1), minute(2))


def test_the_sql_gives_the_answer_in_any_duckdb_that_has_the_entity_rows(home):
    ours, _ = stores(home, view(write(home / "v.parquet", [("a", 1, 1)])))
    questions = asked(("a", 1), ("a", 0))
    job = ours.get_historical_features(questions, ["versions:value"])
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("asked", questions)
        assert connection.sql(f"SELECT value FROM ({job.to_sql()}) ORDER BY question").fetchall() == [(0,), (None,)]


def test_a_saved_dataset_holds_the_answer_and_is_not_overwritten_unasked(home):
    ours, _ = stores(home, view(write(home / "v.parquet", [("a", 1, 1)])))
    storage = SavedDatasetFileStorage(str(home / "saved.parquet"))
    job = ours.get_historical_features(asked(("a", 1), ("a", 0)), ["versions:value"])
    with pytest.warns(RuntimeWarning, match="experimental"):
        ours.create_saved_dataset(job, "saved", storage)
    with pytest.warns(RuntimeWarning, match="experimental"):
        saved = ours.get_saved_dataset("saved")
    assert sorted(saved.to_df()["value"].tolist(), key=str) == [0, pytest.approx(float("nan"), nan_ok=True)]
    with pytest.raises(SavedDatasetLocationAlreadyExists):
        job.persist(storage)
    job.persist(storage, allow_overwrite=True)


@pytest.mark.parametrize("given", ["saved.parquet", "saved"])
@pytest.mark.parametrize("repository", [None, "repository"])
@pytest.mark.filterwarnings("ignore:.*experimental:RuntimeWarning")
def test_a_saved_dataset_of_a_relative_path_is_read_where_it_was_written(home, monkeypatch, given, repository):
    """From the repository, or where the store has none from the working directory. Feast's DuckDB store writes to one
    of them and reads from the other; without a repository it writes to a folder named None, and a folder not at all."""
    ours, _ = stores(home, view(write(home / "v.parquet", [("a", 1, 1)])))
    monkeypatch.chdir(home)
    ours.config.repo_path = home / repository if repository else None
    for moment, rows in ((2, [(0,)]), (4, [(0,), (0,)])):
        job = ours.get_historical_features(asked(*[("a", moment)] * len(rows)), ["versions:value"])
        saved = ours.create_saved_dataset(job, f"at {moment}", SavedDatasetFileStorage(given), allow_overwrite=True)
        assert list(saved.to_df()[["value"]].itertuples(index=False, name=None)) == rows
    assert (home / (repository or "") / given).exists()


@pytest.mark.filterwarnings("ignore:.*experimental:RuntimeWarning")
def test_a_saved_dataset_made_again_of_another_time_needs_another_name(home):
    """Feast's registry keeps the times of the first. docs/feast.md gives each training window a name."""
    ours, _ = stores(home, view(write(home / "v.parquet", [("a", 1, 1)])))
    storage = SavedDatasetFileStorage(str(home / "saved.parquet"))
    for name, moment, rows in (("early", 1, 1), ("early", 99, 0), ("late", 99, 1)):
        job = ours.get_historical_features(asked(("a", moment)), ["versions:value"])
        ours.create_saved_dataset(job, name, storage, allow_overwrite=True)
        assert len(ours.get_saved_dataset(name).to_df()) == rows


@pytest.mark.filterwarnings("ignore:.*experimental:RuntimeWarning")
def test_a_saved_dataset_that_is_gone_is_named_when_it_is_read(home):
    ours, _ = stores(home, view(write(home / "v.parquet", [("a", 1, 1)])))
    job = ours.get_historical_features(asked(("a", 1)), ["versions:value"])
    ours.create_saved_dataset(job, "saved", SavedDatasetFileStorage(str(home / "saved.parquet")))
    (home / "saved.parquet").unlink()
    with pytest.raises(InputMissing, match=r"cannot read .*saved\.parquet"):
        ours.get_saved_dataset("saved").to_df()


def test_a_parquet_file_is_whole_or_not_there(home):
    ours, _ = stores(home, view(write(home / "v.parquet", [("a", 1, 1)])))
    job = ours.get_historical_features(asked(("a", 1)), ["versions:value"])
    (home / "v.parquet").unlink()
    (home / "out").mkdir()
    with pytest.raises(Interrupted, match=r"v\.parquet changed while it was read"):
        job.to_parquet(home / "out" / "answer.parquet")
    assert list((home / "out").iterdir()) == []


def test_a_join_beyond_the_memory_limit_spills_to_the_folder_named_and_answers_the_same(home):
    """20 MB do not hold 50,000 questions and as many versions: where the folder cannot be used, there is no answer."""
    rows = [(str(n % 5000), n, n) for n in range(50_000)]
    stores(home, view(write(home / "v.parquet", rows)))
    (home / "no folder").write_text("")
    questions = asked(*((key, n) for key, n, _ in rows))

    def limited(folder):
        return store(home, {"type": OURS, "memory_limit": "20MB", "threads": 1, "temp_directory": str(home / folder)})

    with pytest.raises(CannotWrite, match=f"{home}/no folder"):
        answers(limited("no folder"), questions, ["versions:value"])
    assert answers(limited("spill"), questions, ["versions:value"]) == [(n,) for n in range(50_000)]


@pytest.mark.parametrize(
    ("setting", "given", "name", "shown"),
    [
        ("memory_limit", "100MB", "memory_limit", "95.3 MiB"),
        ("threads", 1, "threads", 1),
        ("temp_directory", "/somewhere", "temp_directory", "/somewhere"),
    ],
)
def test_each_setting_of_the_store_reaches_duckdb(home, setting, given, name, shown):
    stores(home, view(write(home / "v.parquet", [("a", 1, 1)])))
    job = store(home, {"type": OURS, setting: given}).get_historical_features(asked(("a", 2)), ["versions:value"])
    with job._question.limits.connect() as connection:
        assert connection.sql(f"SELECT current_setting('{name}')").fetchall() == [(shown,)]
