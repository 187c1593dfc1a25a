"""What sources and entity rows get wrong: one clear line with the documented exit code, or an answer that is stated."""

import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bidrec.errors import ConfigurationError, ContractError, InputMissing, Interrupted
from tests.asof.worlds import OURS, answers, asked, minute, store, stores, view, write

VALUE = ["versions:value"]


@pytest.fixture
def home(tmp_path):
    return tmp_path


def refused(ours, questions, features=VALUE):
    """(exit code, the line) of the refusal."""
    with pytest.raises((ContractError, InputMissing)) as caught:
        answers(ours, questions, features)
    assert "\n" not in caught.value.message
    return caught.value.exit_code, caught.value.message


# Times that contradict each other. docs/asof.md says what becomes of them.


def test_a_row_written_before_it_happened_counts_from_when_it_happened(home):
    ours, stock = stores(home, view(write(home / "v.parquet", [("a", 1, 1), ("a", 6, 2)])))
    questions = asked(("a", 3), ("a", 6))
    for filtered in (False, True):
        for one in (ours, stock):
            assert answers(one, questions, VALUE, filter_by_created_timestamp=filtered) == [(0,), (1,)]


def test_a_row_that_was_known_late_is_not_seen_before_under_the_filter(home):
    """Without the filter Feast trusts the event time, as it must: what is told late then counts from before."""
    ours, stock = stores(home, view(write(home / "v.parquet", [("a", 1, 1), ("a", 2, 6)])))
    questions = asked(("a", 3), ("a", 6))
    for one in (ours, stock):
        assert answers(one, questions, VALUE, filter_by_created_timestamp=True) == [(0,), (1,)]
        assert answers(one, questions, VALUE) == [(1,), (1,)]


def test_of_versions_given_twice_the_last_of_the_last_file_counts(home):
    write(home / "v1.parquet", [("a", 1, 1)] * 3)
    write(home / "v2.parquet", [("a", 1, 1)], value=pa.array([9]), height=pa.array([7]))  # a kind of its own
    write(home / "v3.parquet", [("a", 1, 1)] * 2, value=pa.array([10, 11]))
    ours, _ = stores(home, view(home / "v*.parquet"))
    assert answers(ours, asked(("a", 2), ("a", 2)), VALUE) == [(11,), (11,)]


@pytest.mark.parametrize("name", ["file_row_number", "File_Index"])
def test_a_file_with_a_column_named_like_a_row_s_place_is_refused(home, name):
    ours, _ = stores(home, view(write(home / "v.parquet", [("a", 1, 1)], **{name: pa.array([7])})))
    code, message = refused(ours, asked(("a", 2)))
    assert (code, name.lower() in message) == (65, True)


# Entities of one side only.


def test_a_company_without_versions_and_versions_of_no_company_asked_for_are_no_error(home):
    ours, stock = stores(home, view(write(home / "v.parquet", [("a", 1, 1), ("nobody asks", 1, 1)])))
    for one in (ours, stock):
        assert answers(one, asked(("unheard of", 2), ("a", 2)), VALUE) == [(None,), (0,)]


def test_entity_rows_without_the_key_of_a_view_are_refused(home):
    ours, _ = stores(home, view(write(home / "v.parquet", [("a", 1, 1)])))
    assert refused(ours, asked(("a", 2)).drop(columns="company_id")) == (65, "entity rows have no column company_id")


def test_keys_that_are_numbers_here_and_text_there_are_refused_and_007_is_not_7(home):
    ours, _ = stores(home, view(write(home / "v.parquet", [("007", 1, 1)])))
    code, line = refused(ours, asked(("007", 2)).assign(company_id=7))
    assert (code, line) == (65, f"entity rows: company_id is BIGINT, but VARCHAR in {home}/v.parquet")


@pytest.mark.parametrize("width", ["int8", "int64", "uint16", "uint32", "uint64", "float64"])
def test_keys_that_are_numbers_of_another_width_are_the_same_numbers(home, width):
    seven = write(home / "v.parquet", [("7", 1, 1)], company_id=pa.array([7], pa.int32()))
    ours, _ = stores(home, view(seven))
    assert answers(ours, asked((7, 2)).astype({"company_id": width}), VALUE) == [(0,)]


@pytest.mark.parametrize("select", ["SELEC 1", "SELECT * FROM 'pairs that are not there.parquet'"])
def test_a_select_of_entity_rows_that_cannot_be_read_is_refused(home, select):
    ours, _ = stores(home, view(write(home / "v.parquet", [("a", 1, 1)])))
    with pytest.raises(InputMissing, match=r"entity rows: .* Error") as caught:
        ours.get_historical_features(select, VALUE)
    assert caught.value.exit_code == 66


# Files.


def test_a_source_that_is_not_there_is_named(home):
    ours, _ = stores(home, view(home / "missing.parquet"))
    code, line = refused(ours, asked(("a", 2)))
    assert code == 66
    assert line.startswith(f"view versions: cannot read {home}/missing.parquet: IO Error: No files found")


def test_a_folder_without_files_is_named(home):
    (home / "versions").mkdir()
    ours, _ = stores(home, view(home / "versions"))
    assert refused(ours, asked(("a", 2)))[0] == 66


@pytest.mark.parametrize("content", [b"", b"company_id,known_at\na,2024-01-01\n", "truncated"])
def test_a_file_that_is_no_parquet_is_named(home, content):
    path = write(home / "v.parquet", [("a", 1, 1)])
    path.write_bytes(path.read_bytes()[:-100] if content == "truncated" else content)
    ours, _ = stores(home, view(path))
    code, line = refused(ours, asked(("a", 2)))
    assert code == 66
    assert line.startswith(f"view versions: cannot read {path}: Invalid Input Error")


def test_a_parquet_with_a_damaged_page_is_named_when_it_is_read(home):
    path = write(home / "v.parquet", [("a", n, n) for n in range(5000)])
    content = bytearray(path.read_bytes())
    page = pq.ParquetFile(path).metadata.row_group(0).column(3).data_page_offset
    content[page : page + 400] = b"\xff" * 400
    path.write_bytes(content)
    ours, _ = stores(home, view(path))
    job = ours.get_historical_features(asked(("a", 2)), VALUE)
    with pytest.raises(InputMissing, match=f"as-of join: cannot read {path}: ") as caught:
        job.to_parquet(home / "answer.parquet")
    assert caught.value.exit_code == 66
    assert not list(home.glob("*answer*"))


def test_a_column_that_changes_its_type_between_files_is_refused_where_duckdb_would_round(home):
    write(home / "v1.parquet", [("a", 1, 1)])
    write(home / "v2.parquet", [("a", 2, 2)], value=pa.array([2.5]))
    ours, stock = stores(home, view(home / "v*.parquet"))
    assert refused(ours, asked(("a", 2))) == (
        65,
        f"view versions: column 'value' is BIGINT in {home}/v1.parquet but DOUBLE in {home}/v2.parquet",
    )
    assert answers(stock, asked(("a", 2)), VALUE) == [(2,)]


@pytest.mark.parametrize(
    ("column", "other"),
    [
        ("company_id", pa.array([7])),
        ("known_at", pa.array([minute(2)], pa.timestamp("us"))),
        ("written_at", pa.array([minute(2).date()])),
    ],
)
def test_a_key_or_a_time_that_changes_its_type_between_files_is_refused(home, column, other):
    write(home / "v1.parquet", [("a", 1, 1)])
    write(home / "v2.parquet", [("a", 2, 2)], **{column: other})
    ours, _ = stores(home, view(home / "v*.parquet"))
    code, line = refused(ours, asked(("a", 2)))
    assert (code, f"column '{column}' is " in line) == (65, True)


def test_a_column_that_a_file_lacks_is_refused_unless_nobody_asks_for_it(home):
    write(home / "v1.parquet", [("a", 1, 1)], height=pa.array([7]))
    write(home / "v2.parquet", [("a", 2, 2)], depth=pa.array([7]))
    ours, _ = stores(home, view(home / "v*.parquet", fields=("value", "height")))
    assert answers(ours, asked(("a", 2)), VALUE) == [(0,)]
    assert refused(ours, asked(("a", 2)), ["versions:height"]) == (
        65,
        f"view versions: column 'height' is BIGINT in {home}/v1.parquet but missing in {home}/v2.parquet",
    )


def test_a_field_without_a_column_is_named(home):
    ours, _ = stores(home, view(write(home / "v.parquet", [("a", 1, 1)]), fields=("value", "height")))
    code, line = refused(ours, asked(("a", 2)), ["versions:height"])
    assert (code, line) == (65, f"view versions: {home}/v.parquet has no column 'height'")


def test_a_file_that_is_replaced_while_it_is_read_makes_the_answer_void(home):
    """Rows are found in one reading and fetched by their number in another: they must be of one file."""
    path = write(home / "v.parquet", [("a", 1, 1)])
    ours, _ = stores(home, view(path))
    pieces = ours.get_historical_features(asked(("a", 2)), VALUE)._question.answer()
    next(pieces)
    shutil.move(write(home / "new.parquet", [("b", 1, 1), ("a", 1, 1)]), path)
    with pytest.raises(Interrupted, match=r"v\.parquet changed while it was read") as caught:
        list(pieces)
    assert caught.value.exit_code == 75
    assert answers(ours, asked(("a", 2)), VALUE) == [(1,)]


# Names.


def test_an_entity_column_named_like_a_feature_is_refused_with_the_way_out(home):
    ours, _ = stores(home, view(write(home / "v.parquet", [("a", 1, 1)])))
    with pytest.raises(ContractError, match=r"two columns of one name: .*value") as caught:
        answers(ours, asked(("a", 2)).assign(Value=1), VALUE)
    assert "full_feature_names" in caught.value.hint


def test_a_limit_in_which_nothing_can_be_joined_says_what_to_raise(home):
    rows = [(str(n), n, n) for n in range(50_000)]
    stores(home, view(write(home / "v.parquet", rows)))
    limited = store(home, {"type": OURS, "memory_limit": "5MB", "temp_directory": str(home / "spill")})
    with pytest.raises(ConfigurationError, match="as-of join: Out of Memory") as caught:
        answers(limited, asked(*((key, n) for key, n, _ in rows)), VALUE)
    assert (caught.value.exit_code, caught.value.hint) == (64, "raise memory_limit, or make room in temp_directory")
