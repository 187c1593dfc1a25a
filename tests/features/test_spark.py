import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from bidrec.features.spark import is_named
from jobs.cli import main

STORES = Path(__file__).parents[2] / "examples" / "stores"


def test_only_a_store_or_an_engine_of_spark_asks_for_spark():
    assert is_named((STORES / "spark.yaml").read_text())
    assert is_named("batch_engine: {type: spark.engine}")
    assert not is_named((STORES / "redis.yaml").read_text())
    assert not is_named("project: spark")


@pytest.mark.parametrize(
    ("lacking", "mend"), [("pyspark", "pip install -r requirements/spark.txt"), ("java", "default-jre-headless")]
)
def test_where_spark_cannot_start_the_command_ends_with_69_and_what_to_install(lacking, mend, home, monkeypatch):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    if lacking == "pyspark":
        monkeypatch.setitem(sys.modules, "pyspark", None)
    else:
        pytest.importorskip("pyspark")
        monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("FEAST_FS_YAML_FILE_PATH", str(STORES / "spark.yaml"))
    result = CliRunner().invoke(main, ["features"])
    assert result.exit_code == 69
    error, hint = [line for line in result.stderr.splitlines() if line.startswith(("error:", "hint:"))]
    assert lacking in error
    assert mend in hint
