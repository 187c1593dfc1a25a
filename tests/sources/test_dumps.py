import gzip
from dataclasses import replace

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidrec.errors import ConfigurationError, ContractError, InputMissing
from bidrec.sources import dumps
from bidrec.sources.definition import RawTable

RAW = RawTable(name="notice", table="notice", columns={"id": "VARCHAR", "title": "VARCHAR"}, optional={})
TEXT = 'id,title\n1,"도로, 포장"\n2,교량\n'


def read(folder, staging):
    staging.mkdir(exist_ok=True)
    with duckdb.connect() as connection:
        relation = dumps.relation(connection, RAW, dumps.files_of(folder, RAW), staging)
        return sorted(connection.execute(f"SELECT id, title FROM {relation}").fetchall())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949"])
@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
def test_a_dump_is_read_whatever_its_encoding(tmp_path, encoding, ending):
    data = TEXT.encode(encoding)
    (tmp_path / f"notice.{ending}").write_bytes(gzip.compress(data) if ending == "csv.gz" else data)
    assert read(tmp_path, tmp_path / "staging") == [("1", "도로, 포장"), ("2", "교량")]


def test_each_file_of_a_folder_has_its_own_encoding(tmp_path):
    (tmp_path / "notice" / "2024").mkdir(parents=True)
    (tmp_path / "notice" / "a.csv").write_bytes("id,title\n1,도로\n".encode("cp949"))
    (tmp_path / "notice" / "2024" / "a.csv").write_bytes("title,id\n교량,2\n".encode())
    (tmp_path / "notice-old.csv").write_bytes("id,title\n3,하천\n".encode("utf-8-sig"))
    assert read(tmp_path, tmp_path / "staging") == [("1", "도로"), ("2", "교량"), ("3", "하천")]


def test_two_cp949_files_of_the_same_name_do_not_overwrite_each_other(tmp_path):
    for year, row in (("2023/x", "1,도로"), ("2024/x", "2,교량")):
        (tmp_path / "notice" / year).mkdir(parents=True)
        (tmp_path / "notice" / year / "a.csv").write_bytes(f"id,title\n{row}\n".encode("cp949"))
    assert read(tmp_path, tmp_path / "staging") == [("1", "도로"), ("2", "교량")]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_column_of_a_file_is_never_that_of_its_folders_name(tmp_path, ending):
    for day, title in (("2024-05-01", "road"), ("2024-05-02", "bridge")):
        folder = tmp_path / "notice" / f"Title={day}"
        folder.mkdir(parents=True)
        duckdb.sql(f"COPY (SELECT '1' AS id, '{title}' AS title) TO '{folder / f'part.{ending}'}'")
    assert read(tmp_path, tmp_path / "staging") == [("1", "bridge"), ("1", "road")]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_column_that_only_the_folders_name_is_read_from_it(tmp_path, ending):
    for title in ("road", "bridge"):
        folder = tmp_path / "notice" / f"title={title}"
        folder.mkdir(parents=True)
        duckdb.sql(f"COPY (SELECT '1' AS id) TO '{folder / f'part.{ending}'}'")
    assert read(tmp_path, tmp_path / "staging") == [("1", "bridge"), ("1", "road")]


def test_two_encodings_in_one_file_are_refused_with_the_byte(tmp_path):
    head = "id,title\n1,도로\n".encode()
    (tmp_path / "notice.csv").write_bytes(head + "2,교량\n".encode("cp949") + b"3,\xff\n")
    with pytest.raises(ContractError, match=rf"notice\.csv is neither UTF-8 \(byte {len(head) + 2} is not\) nor CP949"):
        read(tmp_path, tmp_path / "staging")


@pytest.mark.parametrize(
    ("text", "encoding"), [("Alimentação e Construções", "latin-1"), ("Їжа, дах", "cp1251"), ("Київ", "cp1251")]
)
def test_text_of_another_language_is_not_read_as_korean(tmp_path, text, encoding):
    assert text.encode(encoding).decode("cp949", "replace") != text
    (tmp_path / "notice.csv").write_bytes(f'id,title\n1,"{text}"\n'.encode(encoding))
    with pytest.raises(ContractError, match=r"notice\.csv is neither UTF-8 \(byte \d+ is not\) nor ") as caught:
        read(tmp_path, tmp_path / "staging")
    assert "UTF-8" in caught.value.hint


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from("가나 다A1,힣"), min_size=1, max_size=30), st.integers(1, 7))
def test_a_character_cut_by_a_block_is_still_one_character(tmp_path_factory, characters, block):
    text = "".join(characters)
    file = tmp_path_factory.mktemp("blocks") / "a.csv"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dumps, "_BLOCK", block)
        for encoding in ("utf-8", "cp949"):
            file.write_bytes(text.encode(encoding) + b"\xff")
            assert dumps._first_error(file, encoding) == len(text.encode(encoding))
            file.write_bytes(text.encode(encoding))
            assert dumps._first_error(file, encoding) is None


def test_a_missing_folder_and_a_missing_file_are_missing_inputs(tmp_path):
    with pytest.raises(InputMissing, match="not a folder"):
        dumps.files_of(tmp_path / "nowhere", RAW)
    (tmp_path / "notice_2024-05-01.csv").touch()
    with pytest.raises(InputMissing, match=r"no notice\.csv.*notice-\*.*there: notice_2024-05-01\.csv"):
        dumps.files_of(tmp_path, RAW)


@pytest.mark.parametrize("table", ["/etc/passwd", "../notice", "", "a/b"])
def test_a_table_that_is_no_name_of_a_file_is_a_configuration_error(tmp_path, table):
    with pytest.raises(ConfigurationError, match="no name of a file"):
        dumps.files_of(tmp_path, replace(RAW, table=table))


@pytest.mark.parametrize("table", ["no*ice", "[n]otice", "it's; --", '"quoted"', "입찰 💥"])
def test_a_table_may_have_any_other_name_and_no_other_files_are_taken_for_it(tmp_path, table):
    (tmp_path / "notice.csv").write_text("id,title\nother,other\n", encoding="utf-8")
    (tmp_path / f"{table}.csv").write_text(TEXT, encoding="utf-8")
    assert dumps.files_of(tmp_path, replace(RAW, table=table)) == [tmp_path / f"{table}.csv"]


def test_a_table_that_is_there_twice_is_refused(tmp_path):
    (tmp_path / "notice.csv").write_text(TEXT)
    (tmp_path / "notice.parquet").write_text("also")
    with pytest.raises(ContractError, match="as CSV and as Parquet"):
        dumps.files_of(tmp_path, RAW)


def test_a_file_that_is_no_parquet_is_refused_by_name(tmp_path):
    (tmp_path / "notice.parquet").write_text("not at all")
    with pytest.raises(ContractError, match=r"notice\.parquet"):
        read(tmp_path, tmp_path / "staging")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_no_line_is_taken_for_a_comment_or_cut_at_a_quoted_line_break(tmp_path, delimiter, newline):
    lines = ["id,title", "#1,a", '2,"b""c"', '3,"d', 'e"', '"4",']
    text = newline.join(lines).replace(",", delimiter) + newline
    (tmp_path / "notice.csv").write_bytes(text.encode("utf-8-sig"))
    rows = [("#1", "a"), ("2", 'b"c'), ("3", f"d{newline}e"), ("4", None)]
    assert read(tmp_path, tmp_path / "staging") == rows


def test_a_broken_line_is_refused_with_its_number_and_file(tmp_path):
    (tmp_path / "notice.csv").write_text(TEXT + "3\n")
    with pytest.raises(duckdb.InvalidInputException, match=r"Line: 4(?s:.*)notice\.csv"):
        read(tmp_path, tmp_path / "staging")


@pytest.mark.parametrize(
    "spoil", [lambda data: data[:-9], lambda data: b"\0" + data[1:], lambda data: data[:12] + b"?" * 9]
)
def test_a_gzip_file_that_is_damaged_or_cut_off_is_refused_by_name(tmp_path, spoil):
    (tmp_path / "notice.csv.gz").write_bytes(spoil(gzip.compress((TEXT * 999).encode())))
    with pytest.raises(ContractError, match=r"notice\.csv\.gz"):
        read(tmp_path, tmp_path / "staging")


def test_a_first_line_of_megabytes_is_no_line_of_column_names(tmp_path):
    (tmp_path / "notice.csv.gz").write_bytes(gzip.compress(bytes(8 << 20)))
    with pytest.raises(ContractError, match="does not begin with a line of column names"):
        read(tmp_path, tmp_path / "staging")


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_file_that_lacks_a_column_of_the_others_is_refused_by_name(tmp_path, ending):
    (tmp_path / "notice").mkdir()
    for name, columns in (("a", "'1' AS id, 'road' AS title"), ("b", "'2' AS ID")):
        duckdb.sql(f"COPY (SELECT {columns}) TO '{tmp_path / 'notice' / f'{name}.{ending}'}'")
    with pytest.raises(ContractError, match=rf"b\.{ending} has no column title, which other files of the table notice"):
        read(tmp_path, tmp_path / "staging")


def test_a_column_that_is_there_twice_is_refused_by_name(tmp_path):
    (tmp_path / "notice.csv").write_text("id,title,id\n1,road,2\n", encoding="utf-8")
    with pytest.raises(ContractError, match=r"notice\.csv has a column twice: id"):
        read(tmp_path, tmp_path / "staging")


def test_a_parquet_file_that_was_cut_off_is_refused_with_a_hint(tmp_path):
    file = tmp_path / "notice.parquet"
    duckdb.sql(f"COPY (SELECT '1' AS id, 'road' AS title FROM range(1000)) TO '{file}'")
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(ContractError, match=r"cannot read .*notice\.parquet") as caught:
        read(tmp_path, tmp_path / "staging")
    assert caught.value.hint == "was it copied whole?"
