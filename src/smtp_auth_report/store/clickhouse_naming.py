"""
Names in ClickHouse: accounts that have signed in, and failures that are named since.

    keep_accounts(client, accounts)                       how each was first spelled, and when
    name_subjects(client, learned, default, written)      failed attempts of these keys have a name from now on

The earliest spelling stands, whoever writes last: a row of `accounts` stands longer the earlier it is.
"""

# ruff: noqa: S608 (SQL is put together from names and numbers of ours; values are always parameters)

from __future__ import annotations

from collections.abc import Mapping

from smtp_auth_report.store.clickhouse_client import Client
from smtp_auth_report.store.clickhouse_deciding import Met
from smtp_auth_report.store.clickhouse_numbers import codes_of
from smtp_auth_report.store.clickhouse_opening import LATEST
from smtp_auth_report.store.dimensions import SUBJECTS
from smtp_auth_report.store.packing import folded
from smtp_auth_report.submission import domain_of


def keep_accounts(client: Client, accounts: Mapping[str, Met]) -> None:
    """Those that are not known, or were met earlier than is known."""
    if not accounts:
        return
    sql = "SELECT account, toUnixTimestamp64Micro(first_seen), spelling FROM accounts WHERE account IN $accounts"
    known = {account: seen for account, *seen in client.rows(sql, {"accounts": list(accounts)})}
    news = {account: met for account, met in accounts.items() if account not in known or list(met[:2]) < known[account]}
    if news:
        columns = dict(zip(Met._fields, map(list, zip(*news.values(), strict=True)), strict=True))
        written = [LATEST - met.first_seen for met in news.values()]
        client.insert("accounts", {"account": list(news), **columns, "written": written, "gone": [0] * len(news)})


def name_subjects(client: Client, learned: Mapping[str, str], default: str | None, written: int) -> None:
    """Their numbers stay, so rows and sums need not change."""
    if not learned:
        return
    names = ", ".join(SUBJECTS.values)
    sql = f"SELECT id, written, {names} FROM subjects WHERE account IS NULL AND account_key IN $keys"
    found = client.rows(sql, {"keys": list(learned)})
    if not found:
        return
    columns: dict[str, list[object]] = {name: [] for name in ("id", *SUBJECTS.values, *(code for code, _ in SUBJECTS.codes))}
    for number, _, _, _, key, *sent in found:
        account = folded(learned[key])
        values = [account, domain_of(account, default), key, *sent]
        for name, value in zip(columns, [number, *values, *codes_of(SUBJECTS, values)], strict=True):
            columns[name].append(value)
    versions = [max(written, row[1] + 2) for row in found]  # the clock of who wrote it may be ahead
    client.insert("subjects", {**columns, "written": versions, "gone": [0] * len(found)})
