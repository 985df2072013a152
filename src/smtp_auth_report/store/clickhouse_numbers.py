"""
Numbers of subjects, manners and clients in ClickHouse: hashes of their values.

    number_of("subjects", values)        the id of these values, on every host the same
    codes_of(SUBJECTS, values)           the other numbers that its table has: account_id, sender_id, domain_id

No number is handed out, so several hosts write at the same time. Two of ten million values share one once in a hundred
thousand sites.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b

from smtp_auth_report.store.dimensions import DIMENSIONS, Dimension


def number_of(what: str, values: Iterable[str | None]) -> int:
    """64 bits that stand for these values as something; `what` says as what."""
    text = "".join(["-" if value is None else f"{len(value)}:{value}" for value in values])
    return int.from_bytes(blake2b(text.encode("utf-8"), digest_size=8, person=what.encode("ascii")).digest(), "little")


def codes_of(dimension: Dimension, values: Sequence[str | None]) -> list[int | None]:
    """In their order, the numbers of values that are often told apart; None where a single value is null."""
    found: list[int | None] = []
    for code, places in PLACES[dimension]:
        meant = [values[place] for place in places]
        found.append(None if len(meant) == 1 and meant[0] is None else number_of(code, meant))
    return found


PLACES = {each: [(code, [each.values.index(name) for name in names]) for code, names in each.codes] for each in DIMENSIONS}
"""Of each number, where the values stand that it is of."""
