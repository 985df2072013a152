"""Exports: every kind of file holds every row, read back by a reader that is not ours, and nothing in it acts."""

from __future__ import annotations

import csv
import io
import json
import os
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

import duckdb
import pytest

from engines import Engine
from smtp_auth_report.changes import Changes, Commit
from smtp_auth_report.errors import ReportError, SelectionError
from smtp_auth_report.exports import EXPORTS
from smtp_auth_report.exports.interface import NAMES, read_columns, stamp, utc
from smtp_auth_report.exports.xlsx import Xlsx
from smtp_auth_report.output import write_file
from smtp_auth_report.store.interface import Selection, Store
from smtp_auth_report.submission import Submission

NOON = 1_795_435_200_000_000  # 2026-11-23T12:00:00Z
ALL = Selection(0, 2 * NOON, "UTC")
PLAIN = Submission(
    key=1,
    opened=NOON,
    time=NOON,
    server="mail",
    service="submission",
    source="postfix",
    client_ip="192.0.2.10",
    client_name="pc.contoso.example",
    helo="pc",
    account="Anna.Berg@Contoso.example",
    account_key="00112233aabbccdd",
    mechanism="SCRAM-SHA-256",
    tls_version="TLSv1.3",
    tls_cipher="TLS_AES_256_GCM_SHA384",
    sender="news@fabrikam.example",
    recipients=3,
    size=1253,
    queue_id="4F1A022C8A9",
    message_id="<one@contoso.example>",
    outcome="accepted",
    reason=None,
)
HOSTILE = (
    '=HYPERLINK("http://evil.example","x")',
    "+1-2",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\uff1d1+1",
    "<r><t>markup</t></r>",
    "_x0041_",
    "{=1+1}",
    "http://evil.example",
    "a\x00b\x07\x1b[31mc\x7f\x9b",
    'line\r\nbreak, "quoted"',
    "\u202etxt.exe",
    "x" * 40_000,
    "jürgen 田中 🖨",
    "0123",
)


@pytest.fixture
def store(engine: Engine) -> Store:
    return engine.open(default_domain=None)


def keep(store: Store, *rows: Submission) -> None:
    changes = Changes()
    for number, row in enumerate(rows):
        changes.put(row._replace(key=number + 1))
    store.commit(Commit(changes))


def written(kind: str, store: Store, selection: Selection = ALL, columns: Sequence[str] = NAMES) -> bytes:
    file = io.BytesIO()
    rows = EXPORTS[kind].write(store, selection, file, lambda _done, _total: None, columns)
    assert rows == store.count(selection)
    return file.getvalue()


def from_csv(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(), newline="")))


def from_json(content: bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in content.decode().split("\n")[:-1]]


def from_parquet(content: bytes, folder: Path) -> list[dict[str, object]]:
    path = folder / "read.parquet"
    path.write_bytes(content)
    with duckdb.connect() as connection:
        connection.execute("SELECT * REPLACE (epoch_us(time) AS time) FROM read_parquet(?)", [str(path)])
        return [dict(zip(NAMES, row, strict=True)) for row in connection.fetchall()]


SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def from_xlsx(content: bytes, number: int = 1) -> list[list[str | float | None]]:
    """Cells of one sheet; a number as a float, a text as a text."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        sheet = ET.fromstring(archive.read(f"xl/worksheets/sheet{number}.xml"))
        shared = [entry.findtext(SHEET + "t") for entry in ET.fromstring(archive.read("xl/sharedStrings.xml"))]
    rows: list[list[str | float | None]] = []
    for line in sheet.iter(SHEET + "row"):
        row: list[str | float | None] = [None] * len(NAMES)
        for cell in line.iter(SHEET + "c"):
            assert cell.find(SHEET + "f") is None, "a formula"
            text = "".join(found.text or "" for found in cell.iter(SHEET + "t")).replace("_x005F_", "_")  # as Excel reads it
            value = cell.findtext(SHEET + "v")
            place = ord(cell.get("r", "A")[0]) - ord("A")
            row[place] = text if value is None else shared[int(value)] if cell.get("t") == "s" else float(value)
        rows.append(row)
    return rows


def test_names_and_order_of_the_record(store: Store) -> None:
    fields = [name for name in Submission._fields if name not in ("key", "opened")]
    assert [name for name in NAMES if name not in ("account_domain", "auth_class", "sender_domain")] == fields
    for derived, source in (("account_domain", "account"), ("auth_class", "mechanism"), ("sender_domain", "sender")):
        assert NAMES.index(derived) == NAMES.index(source) + 1
    keep(store, PLAIN)
    names = list(NAMES)
    assert from_csv(written("csv", store))[0] == names
    assert list(from_json(written("jsonl", store))[0]) == names
    assert from_xlsx(written("xlsx", store))[0] == names


def test_one_row_in_every_kind(store: Store, tmp_path: Path) -> None:
    keep(store, PLAIN)
    given = PLAIN._asdict() | {"account_domain": "contoso.example", "auth_class": "challenge", "sender_domain": "fabrikam.example"}
    row = {name: given[name] for name in NAMES}
    assert from_parquet(written("parquet", store), tmp_path) == [row]
    assert from_json(written("jsonl", store)) == [row | {"time": "2026-11-23T12:00:00Z"}]
    texts = ["2026-11-23T12:00:00Z", *("" if row[name] is None else str(row[name]) for name in NAMES[1:])]
    assert from_csv(written("csv", store))[1:] == [texts]
    cells = from_xlsx(written("xlsx", store))[1]
    assert isinstance(cells[0], float)
    assert datetime(1899, 12, 30, tzinfo=UTC) + timedelta(days=cells[0]) == datetime(2026, 11, 23, 12, tzinfo=UTC)
    assert cells[1:] == [float(row[name]) if name in ("recipients", "size") else row[name] for name in NAMES[1:]]


def test_a_time_is_shown_as_one_and_names_are_bold(store: Store) -> None:
    keep(store, PLAIN)
    content = written("xlsx", store)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        styles = ET.fromstring(archive.read("xl/styles.xml"))
        name, time = ET.fromstring(archive.read("xl/worksheets/sheet1.xml")).iterfind(f".//{SHEET}row/{SHEET}c[1]")
    cells = styles.findall(f"{SHEET}cellXfs/{SHEET}xf")
    formats = {entry.get("numFmtId"): entry.get("formatCode") for entry in styles.iter(SHEET + "numFmt")}
    assert formats[cells[int(time.get("s", ""))].get("numFmtId")] == 'yyyy-mm-dd hh:mm:ss"Z"'
    font = styles.findall(f"{SHEET}fonts/{SHEET}font")[int(cells[int(name.get("s", ""))].get("fontId", ""))]
    assert font.find(SHEET + "b") is not None


def test_null_sender_and_what_is_not_logged(store: Store, tmp_path: Path) -> None:
    bare = PLAIN._replace(**dict.fromkeys(("client_ip", "helo", "account", "recipients", "size", "sender", "message_id"), None))
    keep(store, PLAIN._replace(sender=""), bare)
    for rows in (from_json(written("jsonl", store)), from_parquet(written("parquet", store), tmp_path)):
        assert (rows[0]["sender"], rows[0]["sender_domain"]) == ("", "contoso.example")
        assert {rows[1][name] for name in ("client_ip", "account", "account_domain", "recipients", "sender", "sender_domain")} == {None}
    sender, recipients = NAMES.index("sender"), NAMES.index("recipients")
    table = from_csv(written("csv", store))
    assert [row[sender] for row in table] == ["sender", "<>", ""]
    assert table[2][recipients] == ""
    sheet = from_xlsx(written("xlsx", store))
    assert [row[sender] for row in sheet] == ["sender", "<>", None]
    assert sheet[2][recipients] is None


@pytest.mark.parametrize(
    ("time", "written"),
    [
        (NOON, "2026-11-23T12:00:00Z"),
        (NOON + 1, "2026-11-23T12:00:00.000001Z"),
        (NOON + 250_000, "2026-11-23T12:00:00.250000Z"),
        (NOON + 999_999, "2026-11-23T12:00:00.999999Z"),
    ],
)
def test_time_has_six_digits_or_none(time: int, written: str) -> None:
    assert stamp(time) == written
    assert datetime.fromisoformat(written) == utc(time).replace(tzinfo=UTC)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text)[:24])
def test_hostile_text_is_only_text(store: Store, tmp_path: Path, text: str) -> None:
    keep(store, PLAIN._replace(helo=text, account=text + "@contoso.example"))
    helo = NAMES.index("helo")
    assert from_json(written("jsonl", store))[0]["helo"] == text
    assert from_parquet(written("parquet", store), tmp_path)[0]["helo"] == text
    for cell in (from_csv(written("csv", store))[1][helo], from_xlsx(written("xlsx", store))[1][helo]):
        assert isinstance(cell, str)
        assert cell[0] not in "=+-@\t\r\uff1d"
        assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in cell)
        assert len(cell) == len(text) or cell.startswith("'") or cell.endswith("…")


def test_nothing_steers_a_terminal(store: Store) -> None:
    keep(store, *(PLAIN._replace(helo=text, time=NOON + place) for place, text in enumerate(HOSTILE)))
    allowed = {"csv": "\r\n", "jsonl": "\n"}
    for kind, marks in allowed.items():
        text = written(kind, store).decode()
        assert "\u202e" not in text, "it would turn the direction of writing"
        assert not any((ord(character) < 32 and character not in marks) or 127 <= ord(character) < 160 for character in text)


@pytest.mark.parametrize("kind", EXPORTS)
def test_text_that_is_not_unicode(store: Store, kind: str) -> None:
    keep(store, PLAIN._replace(helo="caf\udce9", account="caf\udce9@contoso.example", message_id="\ud800"))
    assert written(kind, store)


@pytest.mark.parametrize("kind", EXPORTS)
def test_nothing_selected(store: Store, kind: str, tmp_path: Path) -> None:
    content = written(kind, store)
    read = {"csv": lambda: from_csv(content)[1:], "jsonl": lambda: from_json(content), "xlsx": lambda: from_xlsx(content)[1:]}
    assert read.get(kind, lambda: from_parquet(content, tmp_path))() == []


def test_selection_and_order(store: Store) -> None:
    keep(store, *(PLAIN._replace(time=NOON + place * 1_000_000, queue_id=str(place)) for place in (5, 3, 1, 4, 2)))
    rows = from_json(written("jsonl", store, Selection(NOON + 2_000_000, NOON + 5_000_000, "UTC")))
    assert [row["queue_id"] for row in rows] == ["2", "3", "4"]
    assert from_json(written("jsonl", store, Selection(0, 2 * NOON, "UTC", scope=frozenset({"tailspin.example"})))) == []


def test_further_sheets(store: Store) -> None:
    keep(store, *(PLAIN._replace(time=NOON + place, queue_id=f"Q{place}") for place in range(7)))
    file = io.BytesIO()
    assert Xlsx(sheet_rows=4).write(store, ALL, file, lambda _done, _total: None) == 7
    place = NAMES.index("queue_id")
    sheets = [[row[place] for row in from_xlsx(file.getvalue(), number)] for number in (1, 2, 3)]
    assert sheets == [["queue_id", "Q0", "Q1", "Q2"], ["queue_id", "Q3", "Q4", "Q5"], ["queue_id", "Q6"]]
    with zipfile.ZipFile(io.BytesIO(file.getvalue())) as archive:
        for number, rows in ((1, 4), (2, 4), (3, 2)):
            sheet = archive.read(f"xl/worksheets/sheet{number}.xml").decode()
            assert f'<autoFilter ref="A1:V{rows}"/>' in sheet
            assert 'state="frozen"' in sheet


def test_columns_are_those_chosen_in_their_order(store: Store, tmp_path: Path) -> None:
    keep(store, PLAIN._replace(sender=""))
    columns = ("size", "sender", "time")
    assert from_csv(written("csv", store, columns=columns)) == [list(columns), ["1253", "<>", "2026-11-23T12:00:00Z"]]
    [line] = from_json(written("jsonl", store, columns=columns))
    assert list(line.items()) == [("size", 1253), ("sender", ""), ("time", "2026-11-23T12:00:00Z")]
    heading, cells = (row[:4] for row in from_xlsx(written("xlsx", store, columns=columns)))
    assert (heading, cells[:2], cells[3]) == ([*columns, None], [1253.0, "<>"], None)
    assert isinstance(cells[2], float)
    path = tmp_path / "chosen.parquet"
    path.write_bytes(written("parquet", store, columns=columns))
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT * REPLACE (epoch_us(time) AS time) FROM '{path}'")
        assert [name for name, *_ in found.description or []] == list(columns)
        assert found.fetchall() == [(1253, "", NOON)]
    assert from_csv(written("csv", store, columns=["account"])) == [["account"], [PLAIN.account]]


@pytest.mark.parametrize(
    ("stated", "columns"),
    [
        ([], NAMES),
        (["account"], ("account",)),
        (["time, account", "helo"], ("time", "account", "helo")),
        (["helo,,helo", ""], ("helo",)),
    ],
)
def test_columns_as_somebody_states_them(stated: list[str], columns: tuple[str, ...]) -> None:
    assert read_columns(stated) == columns


@pytest.mark.parametrize(
    ("stated", "words"),
    [(["colour"], "no column 'colour'; columns are time, server,"), ([""], "no column is chosen"), ([","], "is chosen")],
)
def test_columns_that_there_are_not(stated: list[str], words: str) -> None:
    with pytest.raises(SelectionError, match=words):
        read_columns(stated)


def test_the_overview_adds_up_the_rows(store: Store) -> None:
    """Days are those of the zone: an hour before midnight in UTC is the next day in Paris. A day without rows has none."""
    late = NOON + 11 * 3_600_000_000
    keep(
        store,
        *(PLAIN._replace(time=NOON + place) for place in range(3)),
        PLAIN._replace(time=NOON + 4, tls_version="none"),
        PLAIN._replace(time=NOON + 5, outcome="auth_failed", tls_version="TLSv1.0"),
        PLAIN._replace(time=late, tls_version="TLSv1.0"),
        PLAIN._replace(time=late + 2 * 86_400_000_000, outcome="rejected"),
    )
    content = written("xlsx", store, Selection(0, 2 * NOON, "Europe/Paris", {"server": ("mail", "=1+1")}), columns=["account"])
    sheet = [list(row[:6]) for row in from_xlsx(content, 2)]
    assert [row[1] for row in sheet[:5]][2:] == ["Europe/Paris", "server: mail, =1+1", 7.0]
    assert sheet[5] == ["Day", "Messages", "Other rows", None, "TLS version", "Messages"]
    day = float((datetime(2026, 11, 23, tzinfo=UTC) - datetime(1899, 12, 30, tzinfo=UTC)).days)
    assert sheet[6:] == [
        [day, 4.0, 1.0, None, "none", 1.0],
        [day + 1, 1.0, 0.0, None, "TLSv1.0", 1.0],
        [day + 2, 0.0, 0.0, None, "TLSv1.3", 3.0],
        [day + 3, 0.0, 1.0, None, None, None],
    ]
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        line, bars = (archive.read(f"xl/charts/chart{number}.xml").decode() for number in (1, 2))
    assert "<c:lineChart>" in line
    assert "<c:f>Overview!$B$9:$B$12</c:f>" in line
    assert '<c:barDir val="col"/>' in bars
    assert "<c:f>Overview!$F$9:$F$11</c:f>" in bars
    assert "<c:f>Overview!$E$9:$E$11</c:f>" in bars


@pytest.mark.parametrize("kind", EXPORTS)
def test_progress_and_same_bytes(store: Store, kind: str) -> None:
    keep(store, *(PLAIN._replace(time=NOON + place) for place in range(21_000)))
    seen: list[tuple[int, int]] = []
    file = io.BytesIO()
    EXPORTS[kind].write(store, ALL, file, lambda done, total: seen.append((done, total)))
    assert seen == [(10_000, 21_000), (20_000, 21_000), (21_000, 21_000)]
    assert file.getvalue() == written(kind, store)


def test_parquet_types(store: Store, tmp_path: Path) -> None:
    keep(store, PLAIN)
    path = tmp_path / "typed.parquet"
    path.write_bytes(written("parquet", store))
    with duckdb.connect() as connection:
        types = dict(connection.execute(f"SELECT column_name, column_type FROM (DESCRIBE FROM '{path}')").fetchall())
    counts = {"recipients": "BIGINT", "size": "BIGINT"}
    assert types == dict.fromkeys(NAMES, "VARCHAR") | counts | {"time": "TIMESTAMP WITH TIME ZONE"}


@pytest.mark.parametrize("kind", EXPORTS)
def test_file_that_cannot_seek(store: Store, kind: str) -> None:
    """Standard output may be a pipe."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: object) -> int:
            raise io.UnsupportedOperation("seek")

        def tell(self) -> int:
            raise io.UnsupportedOperation("tell")

    keep(store, PLAIN)
    pipe = Pipe()
    assert EXPORTS[kind].write(store, ALL, pipe, lambda _done, _total: None) == 1
    assert len(pipe.getvalue()) > 200
    if kind == "xlsx":
        assert from_xlsx(pipe.getvalue())[1][1] == "mail"


@pytest.mark.parametrize("kind", EXPORTS)
def test_full_disk(store: Store, kind: str) -> None:
    """The caller learns of it as of any file that cannot be written."""
    keep(store, *(PLAIN._replace(time=NOON + place) for place in range(500)))
    with pytest.raises(OSError, match="No space left"), Path("/dev/full").open("wb") as full:
        EXPORTS[kind].write(store, ALL, full, lambda _done, _total: None)


def test_what_no_file_is_stays_what_it_is(tmp_path: Path) -> None:
    """As root, `--output /dev/stdout` would put a file in place of the link for the whole machine."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert write_file(str(pipe), lambda file: file.write(b"rows")) == 4
    assert os.read(end, 10) == b"rows"
    os.close(end)
    assert pipe.is_fifo()
    with pytest.raises(ReportError, match="Is a directory"):
        write_file(str(tmp_path), lambda file: file.write(b"rows"))


def test_a_link_to_a_file_stays_a_link_and_the_file_keeps_its_permissions(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    file, link = tmp_path / "elsewhere" / "rows.csv", tmp_path / "rows.csv"
    file.write_bytes(b"older")
    file.chmod(0o600)
    link.symlink_to("elsewhere/rows.csv")
    write_file(str(link), lambda part: part.write(b"rows"))
    assert link.is_symlink()
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"rows", 0o600)
    assert [path.name for path in file.parent.iterdir()] == ["rows.csv"]
