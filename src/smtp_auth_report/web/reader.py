"""
Who asks for a page, and what they may see.

    reader.may(Area.INGEST)     whether an area of the site is for them
    reader.scope                account domains whose rows they see; None is all

Without people there is no sign-in: whoever asks from this machine is `EVERYONE`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Role(StrEnum):
    """What somebody is here for."""

    ADMINISTRATOR = "administrator"
    READER = "reader"
    DOMAINS = "domains"


class Area(StrEnum):
    """Areas of the site that are not for all."""

    PEOPLE = "people"  # who may sign in, and what they did
    INGEST = "ingest"  # how logs are read: hosts, paths, samples of lines


AREAS = {
    Role.ADMINISTRATOR: frozenset(Area),
    Role.READER: frozenset({Area.INGEST}),
    Role.DOMAINS: frozenset[Area](),
}


class Reader(NamedTuple):
    """Somebody who may see pages."""

    name: str  # "" where nobody signs in
    role: Role
    scope: frozenset[str] | None = None

    def may(self, area: Area) -> bool:
        return area in AREAS[self.role]


EVERYONE = Reader("", Role.ADMINISTRATOR)

NOBODY = Reader("", Role.DOMAINS, frozenset())
"""Who has not signed in yet."""
