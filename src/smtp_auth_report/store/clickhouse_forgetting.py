"""
What ClickHouse forgets: raw rows that have grown old, and accounts that are erased.

    expire(client, before, minutes, step)          rows older than that go, their sums by the hour stay
    erase(client, account, key, now, step)         one account goes, from rows and sums
    read_forgotten(client, known)                  which does not come back

Whoever forgets something says so first, by another mark in `meta`. Whoever writes looks at the mark when all is written:
where it is another one, it writes subjects, manners and clients of its rows once more, and takes away what of its rows
should have been forgotten. So neither needs to wait for the other. The mark says besides until when what was taken away had
been written, by whatever clock: what is written later counts, also where the clock of its host is behind.

Rows expire in steps that change no number wherever they stop: sums by the hour are written for whole days, as they are,
then the moment up to which rows have expired, from which on questions read rows; then the rows are deleted.
"""

# ruff: noqa: S608 (SQL is put together from names and numbers of ours; values are always parameters)

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping

from smtp_auth_report.moments import DAY
from smtp_auth_report.store.clickhouse_client import Client
from smtp_auth_report.store.clickhouse_holding import INSTANT, Forgotten, among
from smtp_auth_report.store.clickhouse_opening import settled
from smtp_auth_report.store.duckdb_forgetting import EXPIRED
from smtp_auth_report.store.duckdb_told import UNCLAIMED
from smtp_auth_report.store.duckdb_writing import WIDEST
from smtp_auth_report.store.noting import WITHHELD
from smtp_auth_report.store.reading_state import Rising

MARK = "forgotten"
GONE_ROWS = """
INSERT INTO submissions (key, opened, spread, time, subject, manner, client, writer, written, gone)
SELECT key, opened, 0, fromUnixTimestamp64Micro(0, 'UTC'), 0, 0, 0, writer, written + 1, 1 FROM submissions FINAL WHERE
"""

# The sum of more messages stands: another host may sum up at the same time, when this one has begun to delete the rows
BY_THE_HOUR = f"""
INSERT INTO hourly (bucket, subject, manner, messages, recipients, bytes, first_seen, last_seen, written, gone)
SELECT toStartOfInterval(s.time, toIntervalMinute($minutes)), s.subject, s.manner, count(), sum(coalesce(s.recipients, 0)),
       sum(coalesce(s.size, 0)), min(s.time), max(s.time), count(), 0
FROM submissions AS s WHERE s.time >= {INSTANT.format("$since")} AND s.time < {INSTANT.format("$before")} GROUP BY 1, 2, 3
"""


def read_forgotten(client: Client, known: Forgotten) -> Forgotten:
    """As it stands now; of what is `known` only what changed is read again."""
    said = settled(client.rows)
    mark, before, widest = said.get(MARK, ""), int(said.get(EXPIRED, 0)), int(said.get(WIDEST, 0))
    erased = known.erased if mark == known.mark else dict(client.rows("SELECT account_key, time FROM erased"))
    return Forgotten(mark, before, widest, erased, int(mark.partition(" ")[2] or 0))


def expire(client: Client, before: int, minutes: int, step: Rising) -> int:
    """Keep rows of times before this by the hour only; how many."""
    since = int(settled(client.rows).get(EXPIRED, 0))
    if before <= since:
        return 0
    old = f"time < {INSTANT.format('$before')}"
    rows = _number(
        client, f"SELECT count() FROM submissions WHERE {old} AND time >= {INSTANT.format('$since')}", before=before, since=since
    )
    if rows:
        client.run(BY_THE_HOUR, {"minutes": minutes, "since": since, "before": before})
    _say(client, step, {EXPIRED: (str(before), before)})
    # Of an event that an earlier reading told to be later, deletion alone would bring that reading back
    about = f"opened < {INSTANT.format(before + DAY)}"
    later = f"(key, opened, writer) IN (SELECT key, opened, writer FROM submissions WHERE time >= {INSTANT.format('$before')} AND {about})"
    client.run(f"{GONE_ROWS} {old} AND {later} SETTINGS final = 0", {"before": before})
    client.delete("submissions", f"{old} AND gone = 0", {"before": before})
    _forget_words(client, step, before)
    _forget_clients(client, step)
    _forget_keys(client, step)
    _forget_names(client)
    _say(client, step, {})
    return rows


def erase(client: Client, account: str, key: str, now: int, step: Rising) -> int:
    """Delete the rows and sums of an account, failed attempts with its name among them; how many rows."""
    client.insert("erased", {"account_key": [key], "time": [now], "written": [step.later()], "gone": [0]})
    _say(client, step, {})
    folded = account.casefold()
    theirs = "SELECT id, written FROM subjects WHERE account = $account OR account_key = $key"
    subjects: dict[int, int] = dict(client.rows(theirs, {"account": folded, "key": key}))
    rows = _erase_subjects(client, step, subjects, "1 = 1", now) if subjects else 0
    if subjects:
        _forget_words(client, step)
        _forget_clients(client, step)
    # The server keeps the text of a deletion for a while: it has the name nowhere
    hashed = {"key": key, "hash": _number(client, "SELECT cityHash64($account)", account=folded)}
    deleted = {
        "accounts": f"cityHash64(account) = $hash AND first_seen <= {INSTANT.format(now)}",
        "withheld": "account_key = $key",
        "counted": "sender_key = $key OR cityHash64(lowerUTF8(sender)) = $hash",
    }
    for table, where in deleted.items():
        client.delete(table, where, hashed)
    _say(client, step, {})
    return rows


def erase_rows(client: Client, step: Rising, keys: Iterable[str], erased: Mapping[str, int]) -> None:
    """What was written of accounts while they were erased."""
    for key in keys:
        subjects: dict[int, int] = dict(client.rows("SELECT id, written FROM subjects WHERE account_key = $key", {"key": key}))
        until = INSTANT.format(erased[key])
        if subjects:
            _erase_subjects(client, step, subjects, f"time <= {until}", erased[key])
        client.delete("accounts", f"account_key = $key AND first_seen <= {until}", {"key": key})


def _erase_subjects(client: Client, step: Rising, subjects: Mapping[int, int], which: str, now: int) -> int:
    """Delete rows and sums of these, and themselves where no row is left that has them."""
    theirs = f"subject IN {among(subjects)}"
    rows = _number(client, f"SELECT count() FROM submissions WHERE {theirs} AND {which}")
    client.run(f"{GONE_ROWS} {theirs} AND {which}")
    until = INSTANT.format(now)
    for table, time in (("submissions", "time"), ("hourly", "bucket"), ("second_hand", "time")):
        client.delete(table, f"{theirs} AND {time} <= {until}")
    left = {subject for (subject,) in client.rows(f"SELECT DISTINCT subject FROM submissions WHERE {theirs}")}
    _take_away(client, step, "subjects", {"sender_id": 0}, {number: written for number, written in subjects.items() if number not in left})
    return rows


def _forget_words(client: Client, step: Rising, before: int = 0) -> None:
    """Of rows that are gone nothing is told any more, nor what was told of times before."""
    if _number(client, "SELECT count() FROM awaited"):
        there = "(key, opened) IN (SELECT key, opened FROM submissions WHERE (key, opened) IN (SELECT key, opened FROM awaited))"
        gone = client.rows(f"SELECT reference, key, toUnixTimestamp64Micro(opened), written FROM awaited WHERE NOT {there}")
        columns = dict(zip(("reference", "key", "opened", "written"), map(list, zip(*gone, strict=True)), strict=True))
        if gone:
            step.after(max(row[3] for row in gone) + 1)
            client.insert("awaited", {**columns, "written": [row[3] + 1 for row in gone], "gone": [1] * len(gone)})
    if _number(client, "SELECT count() FROM second_hand"):
        newest = _number(client, "SELECT toUnixTimestamp64Micro(max(time)) FROM second_hand")
        unclaimed = f"time < {INSTANT.format(newest - UNCLAIMED)} AND subject IN {among(_unnamed(client))}"
        client.delete("second_hand", f"time < {INSTANT.format(before)} OR ({unclaimed})")


def _unnamed(client: Client) -> list[int]:
    return [
        number for (number,) in client.rows("SELECT id FROM subjects WHERE account IS NULL AND id IN (SELECT subject FROM second_hand)")
    ]


def _forget_clients(client: Client, step: Rising) -> None:
    """Those that no row names any more."""
    known: dict[int, int] = dict(client.rows("SELECT id, written FROM clients"))
    named = "SELECT client FROM submissions UNION DISTINCT SELECT client FROM second_hand"
    there = {number for (number,) in client.rows(named)} if known else set()
    _take_away(client, step, "clients", {}, {number: written for number, written in known.items() if number not in there})


def _forget_keys(client: Client, step: Rising) -> None:
    """Keys of accounts without a name that only sums have: what the sums tell stays as it is."""
    sql = "account IS NULL AND account_key IS NOT NULL AND id NOT IN (SELECT subject FROM submissions)"
    names = "id, sender, sender_domain, sender_id, domain_id"
    client.run(
        f"INSERT INTO subjects ({names}, written, gone) SELECT {names}, $written, 0 FROM subjects WHERE {sql}", {"written": step.later()}
    )
    client.merge("subjects")


def _forget_names(client: Client) -> None:
    """Of names that wait all but the newest, and those that have been learned since."""
    rows = client.rows("SELECT account_key, time, written FROM withheld ORDER BY time DESC")
    named = "SELECT account_key FROM subjects WHERE account IS NOT NULL AND account_key IN (SELECT account_key FROM withheld)"
    learned = {key for (key,) in client.rows(named)} if rows else set()
    gone = [row for number, row in enumerate(rows) if number >= WITHHELD or row[0] in learned]
    if gone:
        keys, times, versions = (list(column) for column in zip(*gone, strict=True))
        columns = {"account_key": keys, "sealed": [""] * len(gone), "time": times, "gone": [1] * len(gone)}
        client.insert("withheld", {**columns, "written": [written + 1 for written in versions]})
        client.merge("withheld")


def _take_away(client: Client, step: Rising, table: str, kept: Mapping[str, int], versions: Mapping[int, int]) -> None:
    """These versions of entries, so that nothing of them stays. One that is written meanwhile does."""
    if not versions:
        return
    number = len(versions)
    step.after(max(versions.values()) + 1)
    columns = {"id": list(versions), **{name: [value] * number for name, value in kept.items()}}
    client.insert(table, {**columns, "written": [written + 1 for written in versions.values()], "gone": [1] * number})
    client.merge(table)


def _say(client: Client, step: Rising, settled: Mapping[str, tuple[str, int]]) -> None:
    """That something is forgotten from now on."""
    written = step.later()
    said = {MARK: (f"{secrets.token_hex(8)} {written}", written), **settled}
    values, versions = zip(*said.values(), strict=True)
    client.insert("meta", {"name": list(said), "value": list(values), "written": list(versions), "gone": [0] * len(said)})


def _number(client: Client, sql: str, **parameters: int | str) -> int:
    return int(client.rows(sql, parameters)[0][0])
