"""
Rows as columns: what an engine can load in one go.

    columns = unzipped(rows)                       column -> its values
    arrays = pack(columns)                         column -> numpy array, None as NULL, text that is valid UTF-8
    arrays = pack_messages(messages)               the same of messages that are columns already
    arrays = joined([arrays, arrays])              all of them

Derived here: the case-folded account, the domains of account and sender.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from smtp_auth_report.changes import UNTOLD, Messages, each
from smtp_auth_report.store.filters import clean
from smtp_auth_report.submission import Identity, Submission, domain_of

Arrays = dict[str, "np.ndarray[Any, Any]"]
Columns = Mapping[str, Sequence[Any]]


def unzipped(rows: Iterable[Submission]) -> Columns:
    """Values of each column."""
    return dict(zip(Submission._fields, zip(*rows, strict=True), strict=True))


def pack(columns: Columns) -> Arrays:
    """What is a row's own: identity, time, sizes, ids."""
    return {
        "key": np.array(columns["key"], dtype=np.uint64),
        "opened": times(columns["opened"]),
        "spread": np.array(columns.get("spread") or np.zeros(len(columns["key"])), dtype=np.int32),
        "time": times(columns["time"]),
        "recipients": _numbers(columns["recipients"]),
        "size": _numbers(columns["size"]),
        "queue_id": texts(columns["queue_id"]),
        "message_id": texts(columns["message_id"]),
    }


def pack_messages(messages: Messages) -> Arrays:
    """What is a message's own."""
    numbers = messages.numbers
    return {
        "key": numbers["key"],
        "opened": numbers["opened"].view("datetime64[us]"),
        "spread": np.zeros(len(numbers), dtype=np.int32),
        "time": numbers["time"].view("datetime64[us]"),
        "recipients": np.ma.masked_equal(numbers["recipients"], UNTOLD) if UNTOLD in numbers["recipients"] else numbers["recipients"],
        "size": numbers["size"],
        "queue_id": _lines(messages.queue_ids),
        "message_id": _lines(messages.message_ids),
    }


def _lines(column: str) -> np.ndarray[Any, Any]:
    """A text of each line, None where it is empty."""
    values: list[str | None] = [*each(column)]
    if column.startswith("\n") or "\n\n" in column:
        values = [value or None for value in values]
    return _objects(values) if column.isascii() else texts(values)


def joined(parts: Sequence[Arrays]) -> Arrays:
    """Arrays one behind the other."""
    if len(parts) == 1:
        return parts[0]
    masked = {name for part in parts for name, array in part.items() if isinstance(array, np.ma.MaskedArray)}
    return {name: (np.ma.concatenate if name in masked else np.concatenate)([part[name] for part in parts]) for name in parts[0]}


def subjects_of(spelled: Sequence[tuple[str | None, ...]], *, default_domain: str | None) -> list[tuple[str | None, ...]]:
    """Account, its domain and key, sender and its domain, as they are stored, of account, key and sender."""
    found: list[tuple[str | None, ...]] = []
    for account, key, sender in spelled:
        name = None if account is None else folded(account)
        domain = domain_of(name, default_domain)
        if sender is None or sender == "":
            found.append((name, domain, key, sender, None if sender is None else domain))
        else:
            sent = clean(sender)
            found.append((name, domain, key, sent, domain_of(sent)))
    return found


def folded(account: str) -> str:
    """A name as accounts are compared."""
    return clean(account).casefold()


def pack_identities(identities: Iterable[Identity]) -> Arrays:
    keys, opened = zip(*identities, strict=True)
    return {"key": np.array(keys, dtype=np.uint64), "opened": times(opened)}


def pack_learned(learned: Mapping[str, str], default_domain: str | None) -> Arrays:
    accounts = [folded(account) for account in learned.values()]
    return {
        "account_key": texts(list(learned)),
        "account": texts(accounts),
        "account_domain": texts(list(map(partial(domain_of, default=default_domain), accounts))),
    }


def times(values: Sequence[int]) -> np.ndarray[Any, Any]:
    return np.array(values, dtype=np.int64).view("datetime64[us]")


def _numbers(values: Sequence[int | None]) -> np.ndarray[Any, Any]:
    if None not in values:
        return np.array(values, dtype=np.int64)
    return np.ma.array([value or 0 for value in values], mask=[value is None for value in values], dtype=np.int64)


def texts(values: Sequence[str | None]) -> np.ndarray[Any, Any]:
    if not "".join(filter(None, values)).isascii():
        values = [value if value is None else clean(value) for value in values]
    return _objects(values)


def _objects(values: Sequence[str | None]) -> np.ndarray[Any, Any]:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
