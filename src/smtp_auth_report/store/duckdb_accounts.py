"""
Accounts that have signed in: how each was first spelled, and when.

    accounts.meet(met)      inside the transaction of their rows: names with their keys, and when they signed in

What a run has told the store is remembered, so that only news is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import duckdb

from smtp_auth_report.store.filters import clean
from smtp_auth_report.store.packing import folded, texts, times
from smtp_auth_report.submission import domain_of

Execute = Callable[..., duckdb.DuckDBPyConnection]

REMEMBERED = 200_000


class Accounts:
    """For the one who writes."""

    def __init__(self, run: Execute, default_domain: str | None) -> None:
        self._run = run
        self._default_domain = default_domain
        self._met: dict[str, int] = {}  # spelling -> the earliest time told

    def meet(self, signed_in: Iterable[tuple[str, str | None, int]]) -> None:
        """Keep how an account that authenticated was first spelled."""
        if len(self._met) > REMEMBERED:
            self._met.clear()
        met, news = self._met, dict[str, str | None]()
        for account, key, time in signed_in:
            if time < met.get(account, time + 1):
                met[account] = time
                news[account] = key
        if news:
            self._tell(news)

    def forget(self) -> None:
        """A transaction was rolled back, or accounts were deleted."""
        self._met.clear()

    def _tell(self, news: dict[str, str | None]) -> None:
        names = [folded(account) for account in news]
        told = {
            "account": texts(names),
            "spelling": texts([clean(account) for account in news]),
            "time": times([self._met[account] for account in news]),
            "account_key": texts(list(news.values())),
            "account_domain": texts([domain_of(name, self._default_domain) for name in names]),
        }
        assert told
        self._run(
            """
            INSERT INTO accounts
            SELECT account, min((time, spelling))[2], min(time),
                   max(CAST(account_key AS VARCHAR)), max(CAST(account_domain AS VARCHAR)) FROM told GROUP BY account
            ON CONFLICT (account) DO UPDATE SET spelling = excluded.spelling, first_seen = excluded.first_seen
            WHERE (excluded.first_seen, excluded.spelling) < (accounts.first_seen, accounts.spelling)
            """
        )
