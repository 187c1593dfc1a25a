"""As-of by Feast's Spark store: the question of resolve.py where the features are too many for one machine.

Reads   the company views, through get_historical_features of one narrow feature each
Writes  questions and answers as Parquet in a folder of the home that Spark's executors must see; gone afterwards

A version is told by the moment since which it is known, the feature `version_at`: the newest of what the views answer.
"""

import os
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bidrec.asof.resolve import NEVER
from bidrec.config import Config
from bidrec.errors import ContractError, DependencyDown
from bidrec.features.registry import open_store
from bidrec.features.schema import View
from bidrec.operations import log
from bidrec.sql.words import first_line, literal
from bidrec.storage.whole import working_folder

VERSION_AT = "version_at"
Ints = npt.NDArray[np.integer]
_logger = log.get("spark")


def known_since_by_spark(
    config: Config, connection: duckdb.DuckDBPyConnection, views: Sequence[View], company: Ints, as_of: Ints
) -> npt.NDArray[np.int64]:
    """(Q,) since when the newest version of each company known at as_of is known, or NEVER where there is none.

    company: (Q,) rows of the connection's table `company` (company, company_id); as_of: (Q,). Times are whole seconds
    since the epoch, UTC; the answer is rounded up, as those of the training set are.
    Raises ContractError (65) where a view lacks version_at or Spark answers a question twice, DependencyDown (69)
    where Spark or its cluster fails.
    """
    lacking = [view.name for view in views if VERSION_AT not in (f.name for f in view.fields)]
    if lacking:
        raise ContractError(
            f"{' and '.join(lacking)}: no field {VERSION_AT}, by which Spark tells the versions apart",
            hint="take it over from bidrec's feature_repo/company_views.py",
        )
    if not len(company):
        return np.zeros(0, np.int64)
    started = time.monotonic()
    with working_folder(config.home_path, "spark") as folder:
        asked, answers = folder / "asked.parquet", folder / "answers"
        _write_questions(connection, company, as_of, asked)
        _ask(config, [view.name for view in views], asked, answers)
        found = _read_answers(connection, [view.name for view in views], answers, len(company))
    _logger.info("versions found by Spark", questions=len(found), seconds=round(time.monotonic() - started, 1))
    return found


def _write_questions(connection: duckdb.DuckDBPyConnection, company: Ints, as_of: Ints, path: Path) -> None:
    number = np.arange(len(company), dtype=np.int64)
    connection.register("asked", pa.table({"question": number, "company": company, "as_of": as_of.astype(np.int64)}))
    connection.execute(
        "COPY (SELECT question, company_id, make_timestamptz(as_of * 1000000) AS event_timestamp "
        f"FROM asked JOIN company USING (company)) TO {literal(str(path))} (FORMAT parquet)"
    )
    connection.unregister("asked")


def _ask(config: Config, views: Sequence[str], asked: Path, answers: Path) -> None:
    """Have Spark write (question, <view>__version_at..) for each row of `asked` into the folder `answers`."""
    from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SavedDatasetSparkStorage
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    with _quiet(), _environment():
        try:
            job = open_store(config).get_historical_features(
                f"SELECT question, company_id, event_timestamp FROM parquet.`{asked}`",
                [f"{view}:{VERSION_AT}" for view in views],
                full_feature_names=True,
                filter_by_created_timestamp=True,
            )
            job.persist(SavedDatasetSparkStorage(path=str(answers), file_format="parquet"))
        except (PySparkException, Py4JError) as error:
            raise DependencyDown(f"Spark failed: {first_line(error)}", hint="see docs/scaling.md") from error
        finally:
            end_spark()


def end_spark() -> None:
    """Stop the session and its Java process: what follows, training, has a better use for the memory."""
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    session, gateway = SparkSession.getActiveSession(), SparkContext._gateway
    if session:
        session.stop()
    if gateway:
        gateway.shutdown()
        gateway.proc.stdin.close()  # upon which Java ends
        gateway.proc.wait()
        SparkContext._gateway = SparkContext._jvm = None


def _read_answers(
    connection: duckdb.DuckDBPyConnection, views: Sequence[str], answers: Path, questions: int
) -> npt.NDArray[np.int64]:
    newest = f"greatest({', '.join(f'{view}__{VERSION_AT}' for view in views)})::TIMESTAMPTZ"
    rows = connection.execute(
        f"SELECT question, coalesce(ceil(epoch_us({newest}) / 1e6)::BIGINT, {NEVER}) AS known_at "
        f"FROM read_parquet({literal(f'{answers}/*.parquet')}) ORDER BY question"
    ).fetchnumpy()
    if not np.array_equal(rows["question"], np.arange(questions)):
        raise ContractError(
            f"Spark gave {len(rows['question'])} answers to {questions} questions",
            hint="a company has two versions of one moment; delete features/ in the home, then run bidrec train",
        )
    return np.asarray(rows["known_at"], np.int64)


@contextmanager
def _quiet() -> Iterator[None]:
    """What Feast and Spark say of themselves is no result, and that the store is young is in docs/scaling.md."""
    with redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _environment() -> Iterator[None]:
    """In UTC: Feast takes the newest as-of in this process's zone for UTC, and leaves out every row after it."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # not the python3 on the PATH, maybe of another version
    before = os.environ.get("TZ")
    os.environ["TZ"] = "UTC"
    time.tzset()
    try:
        yield
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        time.tzset()
