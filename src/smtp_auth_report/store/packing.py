"""
Rows as columns: what an engine can load in one go.

    arrays = pack_rows(rows, default_domain)       column -> numpy array, None as NULL, text that is valid UTF-8

Derived here: the case-folded account (its spelling stays beside it), the domains of account and sender.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from smtp_auth_report.store.filters import clean
from smtp_auth_report.submission import Identity, Submission, domain_of

Arrays = dict[str, "np.ndarray[Any, Any]"]

NUMBERS = ("recipients", "size")


def pack_rows(rows: Sequence[Submission], default_domain: str | None) -> Arrays:
    """Stored columns of the rows."""
    values: Mapping[str, tuple[Any, ...]] = dict(zip(Submission._fields, zip(*rows, strict=True), strict=True))
    folded = {name: clean(name).casefold() if name is not None else None for name in set(values["account"])}
    domains = {name: domain_of(account, default_domain) for name, account in folded.items()}
    sender_domains = {sender: domain_of(sender) for sender in set(values["sender"])}
    arrays: Arrays = {
        "key": np.array(values["key"], dtype=np.uint64),
        "opened": _times(values["opened"]),
        "time": _times(values["time"]),
        "spread": np.zeros(len(rows), dtype=np.int32),
        "account": _texts([folded[name] for name in values["account"]]),
        "account_domain": _texts([domains[name] for name in values["account"]]),
        "spelling": _texts(values["account"]),
        "sender_domain": _texts(
            [
                domains[account] if sender == "" else sender_domains[sender]
                for account, sender in zip(values["account"], values["sender"], strict=True)
            ]
        ),
    }
    arrays |= {name: _numbers(values[name]) for name in NUMBERS}
    return arrays | {name: _texts(values[name]) for name in Submission._fields if name not in arrays}


def pack_identities(identities: Iterable[Identity]) -> Arrays:
    keys, opened = zip(*identities, strict=True)
    return {"key": np.array(keys, dtype=np.uint64), "opened": _times(opened)}


def pack_learned(learned: Mapping[str, str], default_domain: str | None) -> Arrays:
    folded = [clean(account).casefold() for account in learned.values()]
    return {
        "account_key": _texts(list(learned)),
        "account": _texts(folded),
        "account_domain": _texts(list(map(partial(domain_of, default=default_domain), folded))),
    }


def _times(values: Sequence[int]) -> np.ndarray[Any, Any]:
    return np.array(values, dtype=np.int64).view("datetime64[us]")


def _numbers(values: Sequence[int | None]) -> np.ndarray[Any, Any]:
    return np.ma.array([value or 0 for value in values], mask=[value is None for value in values], dtype=np.int64)


def _texts(values: Sequence[str | None]) -> np.ndarray[Any, Any]:
    if not "".join(filter(None, values)).isascii():
        values = [value if value is None else clean(value) for value in values]
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
