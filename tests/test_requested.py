"""
Requested files: made one after the other, cancelled, tried again, made anew after a restart, and gone after ten days.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event as Signal
from typing import BinaryIO

import pytest

from rows import NOON, row
from sites import DAY, NOW, Page, client_of, make_site, until
from smtp_auth_report.exports import EXPORTS
from smtp_auth_report.exports.csv_file import Csv
from smtp_auth_report.exports.interface import NAMES
from smtp_auth_report.exports.interface import Progress as Told
from smtp_auth_report.store.interface import Readable, Selection
from smtp_auth_report.web.application import Site
from smtp_auth_report.web.models import Progress, RequestedReport
from smtp_auth_report.web.people import add, remove
from smtp_auth_report.web.reader import Role
from smtp_auth_report.web.requested import KEPT, ask_for, file_of, folder, resume, sweep

WEEK = Selection(NOON - 7 * DAY, NOON + DAY, "UTC")

pytestmark = pytest.mark.usefixtures("state")


class Held(Csv):
    """A kind of file that waits in the midst of its rows until it is let go."""

    def __init__(self) -> None:
        self.begun, self.go = Signal(), Signal()

    def write(self, store: Readable, selection: Selection, file: BinaryIO, progress: Told, columns: Sequence[str] = NAMES) -> int:
        def told(done: int, total: int) -> None:
            self.begun.set()
            assert self.go.wait(30)
            progress(done, total)

        return super().write(store, selection, file, told, columns)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    held = Held()
    monkeypatch.setitem(EXPORTS, "csv", held)
    yield held
    held.go.set()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = make_site(tmp_path, *(row(time=NOON + n) for n in range(20)))
    client_of(site)
    return site


def state(request: RequestedReport) -> str:
    request.refresh_from_db()
    return request.progress


def test_what_is_cancelled_leaves_no_file_and_can_be_tried_again(site: Site, held: Held) -> None:
    client = client_of(site)
    first, second = ask_for(site, WEEK, "csv"), ask_for(site, WEEK, "jsonl")
    assert held.begun.wait(30)
    assert [button for button in Page(client.get("/requests")).text.split() if button == "Cancel"] == ["Cancel"] * 2
    client.post(f"/requests/{first.pk}/cancel")
    held.go.set()
    until(lambda: state(second) == Progress.DONE)
    assert state(first) == Progress.CANCELLED
    assert [path.name for path in folder(site.settings).iterdir()] == [file_of(site.settings, second).name]
    assert client.get(f"/requests/{first.pk}/file").status_code == 404
    client.post(f"/requests/{first.pk}/retry")
    until(lambda: state(first) == Progress.DONE)
    assert len(b"".join(client.get(f"/requests/{first.pk}/file")).splitlines()) == 21


def test_what_is_done_is_neither_cancelled_nor_made_again(site: Site) -> None:
    request = ask_for(site, WEEK, "csv")
    until(lambda: state(request) == Progress.DONE)
    before = file_of(site.settings, request).stat().st_mtime_ns
    client = client_of(site)
    client.post(f"/requests/{request.pk}/cancel")
    client.post(f"/requests/{request.pk}/retry")
    assert (state(request), file_of(site.settings, request).stat().st_mtime_ns) == (Progress.DONE, before)


def test_what_a_stopped_server_left_is_made_when_it_starts_again(site: Site) -> None:
    fields = {"asked": NOW, "start": WEEK.start, "end": WEEK.end, "zone": "UTC", "format": "csv"}
    running = RequestedReport.objects.create(**fields, progress=Progress.RUNNING, done=3, total=20)
    waiting = RequestedReport.objects.create(**fields)
    file_of(site.settings, running).with_suffix(".part").write_text("half of it")
    resume(site)
    for request in (running, waiting):
        until(lambda request=request: state(request) == Progress.DONE)
        assert (request.done, len(file_of(site.settings, request).read_text().splitlines())) == (20, 21)
    assert len(list(folder(site.settings).iterdir())) == 2


def test_files_are_kept_for_ten_days_and_not_longer_than_their_people(site: Site) -> None:
    add("admin@contoso.example", Role.ADMINISTRATOR, "correct horse battery", NOW)
    add("reader@contoso.example", Role.READER, "correct horse battery", NOW)
    admin, reader = (
        ask_for(replace(site, reader=site.reader._replace(name=f"{name}@contoso.example")), WEEK, "csv") for name in ("admin", "reader")
    )
    until(lambda: state(reader) == Progress.DONE)
    remove("reader@contoso.example", NOW)
    sweep(site.settings, NOW)
    assert [path.stem for path in folder(site.settings).iterdir()] == [str(admin.pk)]
    resume(replace(site, clock=lambda: NOW + KEPT))
    assert file_of(site.settings, admin).exists()
    resume(replace(site, clock=lambda: NOW + KEPT + 1))
    assert list(folder(site.settings).iterdir()) == []
    assert not RequestedReport.objects.exists()


def test_a_file_that_is_just_begun_is_never_swept_away(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests are looked up after the files are listed; here one comes between."""
    begun: list[Path] = []

    def begin(path: Path) -> Iterator[Path]:
        request = RequestedReport.objects.create(asked=NOW, start=0, end=1, zone="UTC", format="csv", progress=Progress.RUNNING)
        begun.append(file_of(site.settings, request).with_suffix(".part"))
        begun[0].write_text("half of it")
        return listed(path)

    listed = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", begin)
    sweep(site.settings, NOW)
    assert begun[0].exists()


def test_a_file_has_the_columns_that_were_chosen(site: Site, held: Held) -> None:
    client = client_of(site)
    form = {"format": "csv", "from": "2026-11-18", "to": "2026-11-18"}
    client.post("/requests", form | {"columns": ["", "time", "account"]})
    request = RequestedReport.objects.get()
    assert request.columns == ["time", "account"]
    assert "2 of 22 columns" in Page(client.get("/requests/progress")).text
    assert held.begun.wait(30)
    client.post(f"/requests/{request.pk}/cancel")
    held.go.set()
    client.post(f"/requests/{request.pk}/retry")
    until(lambda: state(request) == Progress.DONE)
    lines = file_of(site.settings, request).read_text().splitlines()
    assert (lines[0], lines[1], len(lines)) == ("time,account", "2026-11-18T12:00:00Z,anna@contoso.example", 21)


@pytest.mark.parametrize(
    ("columns", "status", "kept"),
    [
        ([], 302, []),
        (["", *NAMES], 302, []),
        ([""], 400, None),
        (["time", "colour"], 400, None),
        (["reason", "", "time"], 302, ["reason", "time"]),
    ],
)
def test_columns_of_the_form(site: Site, columns: list[str], status: int, kept: list[str] | None) -> None:
    """All of them are none in particular, so that a later version's are among them."""
    answer = client_of(site).post("/requests", {"format": "csv", "from": "2026-11-18", "to": "2026-11-18", "columns": columns})
    assert answer.status_code == status
    if status == 400:
        assert "columns are time, server" in Page(answer).text
    assert [request.columns for request in RequestedReport.objects.all()] == ([] if kept is None else [kept])
    for request in RequestedReport.objects.all():
        until(lambda request=request: state(request) == Progress.DONE)


def test_a_column_that_this_version_does_not_know_is_told(site: Site) -> None:
    request = ask_for(site, WEEK, "jsonl", ["time", "country"])
    until(lambda: state(request) == Progress.FAILED)
    assert request.failure.startswith("there is no column 'country'; columns are time, ")
