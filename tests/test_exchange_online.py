"""
What Microsoft counted: the admin center's export of its report of SMTP AUTH clients, beside the rows and never among them.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingesting import Site
from reading import line_ends, log, options, run, session
from rows import NOON, row
from sites import HOSTILE, Page, client_of, make_site
from smtp_auth_report.changes import Changes, Commit, Counted, Remembered
from smtp_auth_report.sources import SOURCES, LogReader
from smtp_auth_report.store import open_store, shared

V3 = "Sender address,Domain,TLS 1.0,TLS 1.1,TLS 1.2,Messages sent,Authentication Protocol\n"
ANNA = "anna.berg@contoso.example"
TEXT = (
    V3
    + f"{ANNA},contoso.example,0%,0%,100%,472,Basic\n"
    + 'scan@contoso.example,contoso.example,50%,0%,50%,"1,024",Basic\n'
    + "crm@fabrikam.example,fabrikam.example,0%,0%,100%,7,OAuth\n"
)


def counted(text: str | bytes, *feeds: int) -> list[Counted]:
    content = text.encode() if isinstance(text, str) else text
    source = LogReader(SOURCES, options())
    source.settle([], content)
    _, changes = run(content, feeds, source)
    assert changes.rows == {}
    return changes.counted


def test_the_report() -> None:
    anna, scan, crm = counted(TEXT)
    assert (anna.sender, anna.sender_domain, anna.messages, anna.authentication) == (ANNA, "contoso.example", 472, "Basic")
    assert (anna.tls_none, anna.tls_1_0, anna.tls_1_1, anna.tls_1_2, anna.tls_1_3) == (None, 0, 0, 1, None)
    assert (scan.messages, scan.tls_1_0, scan.tls_1_2) == (1024, 0.5, 0.5)
    assert (crm.authentication, crm.first, crm.last) == ("OAuth", None, None)
    assert len({each.line for each in (anna, scan, crm)}) == 3


@pytest.mark.parametrize(
    ("header", "line"),
    [
        ("Sender Address,TLS1.0%,TLS1.1%,TLS1.2%,Message count", f"{ANNA},25%(118),0%(0),75%(354),472"),
        ('\ufeff"Sender address","Domain","TLS 1.0 (percentage)","TLS 1.1 (percentage)","TLS 1.2 (percentage)","Messages sent"',
         f'"{ANNA}","contoso.example","25","0","75","472"'),
        ("sender_address,domain,tls v1.0,tls v1.1,tls v1.2,messages_sent", f"{ANNA},Contoso.Example,0.25,0,0.75,472"),
        ("Messages sent,TLS 1.2,TLS 1.1,TLS 1.0,Address,Domain", f'472,"75,0 %",0 %,"25,0 %",{ANNA},contoso.example'),
    ],
)  # fmt: skip
def test_columns_and_numbers_of_other_years(header: str, line: str) -> None:
    [found] = counted(f"{header}\r\n{line}\r\n".encode())
    assert (found.sender, found.sender_domain, found.messages) == (ANNA, "contoso.example", 472)
    assert (found.tls_1_0, found.tls_1_1, found.tls_1_2) == (0.25, 0, 0.75)


def test_days_where_the_file_tells_them() -> None:
    header = "Date,Sender address,Domain,TLS 1.0,TLS 1.1,TLS 1.2,Messages sent\n"
    lines = "".join(f"{day},{ANNA},contoso.example,0%,0%,100%,1\n" for day in ("11/22/2026", "11/03/2026"))
    later, earlier = counted(header + lines)
    assert (later.first, earlier.first) == (1_795_305_600_000_000, 1_793_664_000_000_000)


def test_rows_that_are_not_understood_are_told() -> None:
    for line in ("x@y.example,y.example,0%,0%,100%,many,Basic\n", "x@y.example,y.example,300%,0%,0%,5,Basic\n", ",y,0%,0%,1%,5,\n"):
        source = LogReader(SOURCES, options())
        source.settle([], (TEXT + line).encode())
        _, changes = run((TEXT + line).encode(), source=source)
        assert len(changes.counted) == 3
        assert [each.reason for each in changes.unread] == ["row of a report not understood"]


def test_it_is_the_same_however_it_is_cut() -> None:
    text = TEXT.encode()
    assert counted(text, *line_ends(text)) == counted(text)


def test_no_log_is_taken_for_it() -> None:
    hostile = log("postfix/smtpd[1]: connect from x[192.0.2.1], TLS 1.0, TLS 1.1, TLS 1.2, sender, messages")
    for text in (log(*session()), hostile, b"TLS 1.0 and TLS 1.2 are two versions\n"):
        assert not any(kind.name == "exchange-online" and kind.forms(text.splitlines()) for kind in SOURCES)


# As the administrator imports it


def test_it_is_imported_once_and_is_in_no_figure(tmp_path: Path) -> None:
    site = Site(tmp_path)
    path = tmp_path / "SMTP AUTH clients.csv"
    path.write_text(TEXT.removesuffix("\n"))
    said = site.ingest(path)
    assert "Counted by Microsoft: 3 senders; they are no rows" in said
    site.ingest(path)
    (tmp_path / "copy.csv").write_text(TEXT.removesuffix("\n"))
    site.ingest(tmp_path / "copy.csv")
    assert site.rows() == []
    assert set(site.report("summary")["totals"].values()) == {0}
    store = open_store(str(tmp_path / "mail.duckdb"), read_only=True)
    [report] = store.counted_reports()
    assert (report.file, report.rows, report.messages, report.first) == ("copy.csv", 3, 1503, None)
    store.close()


@pytest.mark.parametrize(
    ("name", "header", "said"),
    [
        (
            "french.csv",
            "Adresse de l'expéditeur,Domaine,TLS 1.0,TLS 1.1,TLS 1.2,Envois",
            'no column with "sender" or "messages" in its name',
        ),
        ("excel.csv", "Sender address;Domain;TLS 1.0;TLS 1.1;TLS 1.2;Messages sent", "separated by commas"),
        ("renamed.csv", "Sender address,Domain,TLS 1.0,TLS 1.1,TLS 1.2,Number", 'no column with "messages" in its name'),
        ("other.csv", "Name,Street,Town,Country", "is a table without the columns that are looked for: Date (UTC), Request ID"),
        ("german.csv", "Datum (UTC),Anforderungs-ID,Benutzer-Agent,Benutzername", "export it from a portal in English"),
    ],
)
def test_other_tables_are_refused_in_one_line(tmp_path: Path, name: str, header: str, said: str) -> None:
    path = tmp_path / name
    path.write_text(f"{header}\n{ANNA},contoso.example,0%,0%,100%,472\n", encoding="utf-8")
    ran = Site(tmp_path).run("ingest", path)
    [line] = [line for line in ran.stderr.decode().splitlines() if line.startswith("smtp-auth-report: ")]
    assert ran.returncode == 1
    assert said in line


# What the store keeps


def entry(sender: str, **stated: object) -> Counted:
    return counted(TEXT)[0]._replace(sender=sender, **stated)


def keeping(*rows: Counted, file: str = "report.csv") -> Commit:
    return Commit(Changes(counted=[each._replace(report=each.report or "aa") for each in rows]), file=file)


def test_erased_senders_do_not_come_back(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "mail.duckdb"), clock=lambda: NOON)
    hers, his = entry(ANNA, line=2, sender_key="aa"), entry("bob@contoso.example", line=3, sender_key="bb")
    store.commit(keeping(hers, his))
    store.erase(ANNA.upper(), "aa")
    assert [each.sender for each in store.counted("aa", 10)] == ["bob@contoso.example"]
    store.commit(keeping(hers, his))
    store.commit(keeping(hers._replace(first=NOON + 1, last=NOON + 2, report="later"), file="later.csv"))
    assert [each.sender for each in store.counted("aa", 10)] == ["bob@contoso.example"]
    assert [each.sender for each in store.counted("later", 10)] == [ANNA]
    store.close()


def test_it_crosses_the_socket_whole_and_is_cut_to_a_scope(tmp_path: Path) -> None:
    database = str(tmp_path / "mail.duckdb")
    store = open_store(database, clock=lambda: NOON)
    with shared.sharing(store, shared.socket_of(database)):
        other = shared.connect(database)
        assert other is not None
        other.commit(keeping(*counted(TEXT)))
        assert other.counted_reports() == store.counted_reports() != []
        [report] = other.counted_reports(frozenset({"fabrikam.example"}))
        assert (report.rows, report.messages, report.file, report.read) == (1, 7, "report.csv", NOON)
        assert other.counted(report.report, 10) == store.counted(report.report, 10)
        assert [each.sender for each in other.counted(report.report, 1)] == ["scan@contoso.example"]
        assert [each.sender for each in other.counted(report.report, 9, frozenset({"fabrikam.example"}))] == ["crm@fabrikam.example"]
        other.close()
    store.close()


# The page


def test_the_page_says_whose_figures_these_are(tmp_path: Path) -> None:
    site = make_site(tmp_path, row())
    site.store.commit(keeping(*counted(TEXT), file="<b>November</b>.csv"))
    answer = client_of(site).get("/exchange-online")
    page = Page(answer)
    assert "Microsoft's own figures" in page.text
    assert "messages 1,503" in page.text
    assert "days not told" in page.text
    half, none = "50\N{NO-BREAK SPACE}%", "0\N{NO-BREAK SPACE}%"
    assert ["scan@contoso.example", "1,024", half, none, half, "Basic", "contoso.example"] in page.rows
    assert "<b>November" not in answer.content.decode()
    assert [line[0] for line in Page(client_of(site).get("/ingest")).rows if "1,503" in line] == ["<b>November</b>.csv"]
    assert "1 message from 1 account" in Page(client_of(site).get("/report?from=2026-11-18&to=2026-11-18")).text
    [told] = client_of(site).get("/api/counted").json()
    assert (told["messages"], told["senders"], told["from"], told["rows"][0]["sender"]) == (1503, 3, None, "scan@contoso.example")
    site.store.close()


def test_who_signed_in_stands_beside_it(tmp_path: Path) -> None:
    entra = {"source": "entra", "server": "exchange-online", "outcome": "no_mail", "mechanism": "BASIC", "sender": None}
    rows = [row(**entra, account=HOSTILE[0], client_ip="192.0.2.7", time=NOON + n) for n in range(3)]
    failed = row(**entra | {"outcome": "auth_failed"}, client_ip="203.0.113.9")
    other = row(outcome="no_mail", account="elsewhere@contoso.example", sender=None)
    site = make_site(tmp_path, *rows, row(**entra, client_ip=None, account=ANNA), failed, other)
    site.store.commit(Commit(Changes(newest={"exchange-online": NOON}), remembered=[Remembered("entra", "exchange-online", NOON, "{}")]))
    answer = client_of(site).get("/exchange-online")
    page = Page(answer)
    assert "4 sign-ins by SMTP that succeeded" in page.text
    assert [line[1:4] for line in page.rows if line[2:3] == ["Basic"]] == [["3", "Basic", "192.0.2.7"], ["1", "Basic", "unknown"]]
    assert "elsewhere" not in page.text
    assert "203.0.113.9" not in page.text
    assert "<img src=x" not in answer.content.decode()
    assert "/exchange-online" in [link["href"] for link in Page(client_of(site).get("/ingest")).named("a")]
    site.store.close()


def test_hostile_senders_are_shown_as_text(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    site.store.commit(keeping(*(entry(name, line=place, authentication=name) for place, name in enumerate(HOSTILE))))
    text = client_of(site).get("/exchange-online").content.decode()
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert "\x1b" not in text
    site.store.close()


def test_a_store_with_nothing_else_leads_there(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    assert "Nothing has been imported yet" in Page(client_of(site).get("/exchange-online")).text
    assert client_of(site).get("/exchange-online?report=x").status_code == 404
    site.store.commit(keeping(*counted(TEXT)))
    site.store.commit(keeping(entry(ANNA, report="bb", first=NOON, last=NOON + 86_400_000_000), file="later.csv"))
    assert "/exchange-online" in [link["href"] for link in Page(client_of(site).get("/")).named("a")]
    assert "18\N{EN DASH}19 Nov 2026" in Page(client_of(site).get("/exchange-online?report=bb")).text
    site.store.close()


# Hostile text


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=60), st.text(st.characters(exclude_categories=("Cs",)), max_size=60))
def test_hostile_text_changes_no_other_row(sender: str, domain: str) -> None:
    quoted = ['"' + text.replace('"', '""') + '"' for text in (sender, domain)]
    lines = TEXT.splitlines(keepends=True)
    text = "".join([*lines[:2], ",".join([*quoted, "0%", "0%", "100%", "9", "Basic"]) + "\n", *lines[2:]])
    found = {each.sender: each for each in counted(text)}
    for each in counted(TEXT):
        assert found[each.sender] == each or each.sender == sender.strip()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80), st.integers(0, 300), st.integers(0, 60))
def test_any_bytes_are_read_or_reported(noise: bytes, place: int, cut: int) -> None:
    text = TEXT.encode()[:place] + noise + TEXT.encode()[place + cut :]
    source = LogReader(SOURCES, options())
    source.settle(text.splitlines()[:10], text)
    _, changes = run(text, source=source)
    assert 0 <= changes.other <= changes.lines
    assert all(each.messages >= 0 for each in changes.counted)
