"""Logs that are tables: records and fields as RFC 4180 has them, whatever a client writes into one."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smtp_auth_report.sources import csv_log
from smtp_auth_report.sources.csv_log import Columns, Records, fields, plain

FIELD = st.text(alphabet='ab,"\r\n x', max_size=12)
TABLE = st.lists(st.lists(FIELD, min_size=2, max_size=5), max_size=6)


def written(table: list[list[str]]) -> bytes:
    file = io.StringIO(newline="")
    csv.writer(file).writerows(table)
    return file.getvalue().encode()


def cut(text: bytes, size: int) -> list[bytes]:
    """Records of a text that comes in batches of so many lines."""
    records, lines = Records(), text.splitlines(keepends=True) if b"\r" not in text.replace(b"\r\n", b"") else [text]
    return [record for place in range(0, len(lines), size) for record in records.cut(b"".join(lines[place : place + size]))]


@given(TABLE, st.integers(1, 3))
@example([["a", 'x\n2026-11-23T16:06:05.123Z,forged,"', "b"]], 1)
def test_what_a_writer_wrote_is_read(table: list[list[str]], size: int) -> None:
    text = written(table)
    found = [[field.decode() for field in fields(record)] for record in cut(text, size)]
    assert found == table


@given(TABLE)
def test_fields_with_and_without_the_short_way(table: list[list[str]]) -> None:
    for record in Records().cut(written(table)):
        assert fields(record) == csv_log._fields_one_by_one(record)


@given(st.binary(max_size=300))
def test_any_bytes_are_cut(noise: bytes) -> None:
    records = Records()
    found = records.cut(noise + b"\n")
    for record in found:
        assert fields(record) == csv_log._fields_one_by_one(record)
    assert b"".join(found).count(b"\n") + len(found) + len(records.broken) + bool(records.rest) >= 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'a,5" pipe,b\nc,6" pipe,d\n', [b'a,5" pipe,b', b'c,6" pipe,d']),
        (b'a 5" b,"x\ny"\nz\n', [b'a 5" b,"x\ny"', b"z"]),
        (b'"a""b","c"\r\n', [b'"a""b","c"']),
        (b"\n\n", [b"", b""]),
        (b"a\nb", [b"a", b"b"]),
    ],
)
def test_records(text: bytes, expected: list[bytes]) -> None:
    assert Records().cut(text) == expected


def test_a_quote_in_the_midst_of_a_field_opens_none() -> None:
    assert fields(b'a"b,c"d,"e"f') == [b'a"b', b'c"d', b"ef"]
    assert not plain(b'a 5" b,"x\ny"\n'), "its quotes are even on no line"


def test_quotes_that_are_never_closed_cost_one_line() -> None:
    records = Records()
    found = records.cut(b'a,"broken\n' + b"b,c\n" * 40_000)
    assert records.broken == [b'a,"broken']
    assert len(found) == 40_000
    assert records.rest == b""


def test_columns_by_name() -> None:
    columns = Columns.named([b" Date-Time", b"EVENT"])
    assert columns.of([b"x", b"y"], "event") == b"y"
    assert columns.of([b"x"], "event") == b""
    assert columns.of([b"x"], "other") == b""
    assert columns.in_order([b"x", b"y"], ("event", "date-time")) == [b"y", b"x"]
