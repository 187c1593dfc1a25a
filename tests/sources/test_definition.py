import duckdb
import pytest

from bidrec.contract import TABLES
from bidrec.errors import ConfigurationError
from bidrec.sources.definition import BUILT_IN, load_definition


@pytest.mark.parametrize("name", sorted(path.parent.name for path in BUILT_IN.glob("*/source.toml")))
def test_a_built_in_source_gives_canonical_columns_of_canonical_types(name):
    definition = load_definition(name)
    with duckdb.connect() as connection:
        connection.execute(f"SET VARIABLE zone = '{definition.zone}'")
        for parameter, value in definition.parameters.items():
            connection.execute(f"SET VARIABLE {parameter} = '{value}'")
        for raw in definition.raw:
            columns = ", ".join(f"{column} {kind}" for column, kind in raw.all_columns.items())
            connection.execute(f"CREATE TABLE raw_{raw.name} ({columns})")
        for name, table in TABLES.items():
            for column, kind, *_ in connection.execute(f"DESCRIBE {definition.sql[name]}").fetchall():
                canonical = table.column(column)
                assert canonical is not None, column
                assert kind.replace("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ") == canonical.type, column


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("zone = 'Asia/Seoul'", "needs zone"),
        ("zone = 'Asia/Soul'\n[raw.bid.columns]", "Asia/Soul"),
        ("zone = 'UTC'\nzoone = 1\n[raw.bid.columns]", "unknown key zoone"),
        ("zone = 'UTC'\n[raw.bid]\ncolums = 1", "unknown key colums"),
        ("zone =", "cannot be read"),
        ("zone = 'UTC'\n[raw.bid]\ncolumns = 5", r"\[raw.bid\]: columns must be a table, not 5"),
        ("zone = 'UTC'\n[raw.bid]\ntable = 5\n[raw.bid.columns]", r"\[raw.bid\]: table must be a text, not 5"),
        ("zone = 'UTC'\n[raw.bid]\noptional = 5\n[raw.bid.columns]", r"\[raw.bid\]: optional must be a table"),
    ],
)
def test_a_broken_source_toml_is_a_configuration_error(tmp_path, toml, message):
    (tmp_path / "source.toml").write_text(toml)
    for table in TABLES:
        (tmp_path / f"{table}.sql").write_text("SELECT 1")
    with pytest.raises(ConfigurationError, match=message):
        load_definition(str(tmp_path))


def test_a_folder_without_the_three_selects_is_no_source(tmp_path):
    (tmp_path / "source.toml").write_text("zone = 'UTC'")
    with pytest.raises(ConfigurationError, match=r"notice\.sql"):
        load_definition(str(tmp_path))
