"""
The time of a line: from what its stamp says, and for RFC 3164 from what it leaves out.

    clock = Clock(options)
    clock.settle(sampled, reference)       once, before the first line: the year, from the file's own evidence
    clock.at(b"Nov 23 16:06:06")           microseconds UTC
    clock.hour(b"2026-11-23 16:06:06")     the same of its hour, for all stamps of it

Stamps that are read
    Nov 23 16:06:06        RFC 3164; also "Nov  7", "Nov 7", with fractions, with a year behind
    2026-11-23T16:06:06.123456+01:00       RFC 5424, rsyslog's and journald's ISO forms; "Z", no zone, a blank for the T
    1795449966123456                       journald's microseconds
    Mon 2026-11-23 16:06:06 CET            journalctl -o short-full

The year of an RFC 3164 stamp is the stated one, else the one that queue ids tell, else the latest in which the
file's last stamp does not lie more than a day after the file was written. While reading, a stamp that falls back by
more than a month belongs to the next year, unless that year has not come yet. The hour that autumn repeats is read
twice, in file order.

What goes wrong
    `at` gives None for a stamp that cannot be read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from smtp_auth_report.moments import DAY, EPOCH, HOUR, SECOND, micros, moment
from smtp_auth_report.sources.envelope import Envelope
from smtp_auth_report.sources.interface import Options
from smtp_auth_report.words import marked, translated

WRAP = 30 * DAY
STRAGGLER = 2 * DAY
MONTHS = {name.encode(): number for number, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}

# Nov  7 16:06:06.123 2026
RFC3164 = re.compile(rb"([A-Z][a-z]{2}) {1,2}(\d{1,2}) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?: (\d{4}))?$")
# 2026-11-23T16:06:06.123456+01:00
ISO = re.compile(rb"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?(Z|[+-]\d\d:?\d\d)?$")
# 2026-11-23T16:06:06.123Z
UTC_MILLISECONDS = re.compile(rb".{17}[0-5]\d\.\d{3}Z$", re.DOTALL).match
# Mon 2026-11-23 16:06:06 CET
SHORT_FULL = re.compile(rb"[A-Z][a-z]{2} (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})?) ([A-Z]{1,5}|[+-]\d\d)$")

# 48rT2v1hQrz1J0N: six characters of seconds since 1970, four of microseconds, "z", the inode
LONG_QUEUE_ID = re.compile(rb"[0-9BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxy]{10}z[0-9BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxy]+$")
BASE52 = {character: value for value, character in enumerate(b"0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz")}
# 1xVWeV-0001UG-2n: six characters of seconds since 1970, the pid, a part of a second
BASE62 = {character: value for value, character in enumerate(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")}
CENTURY = range(946_684_800, 4_102_444_801)
"""Seconds that an id may tell: the years 2000 to 2099."""


def queue_id_time(queue_id: bytes) -> int | None:
    """Microseconds UTC at which Postfix made a long queue id; None for a short one."""
    return _made_at(queue_id, BASE52) if LONG_QUEUE_ID.match(queue_id) else None


def exim_id_time(queue_id: bytes) -> int | None:
    """Microseconds UTC at which Exim made a message id; None for what cannot be one."""
    return _made_at(queue_id, BASE62)


def _made_at(queue_id: bytes, digits: Mapping[int, int]) -> int | None:
    """Microseconds UTC that the first six characters tell."""
    seconds = 0
    for character in queue_id[:6]:
        seconds = seconds * len(digits) + digits.get(character, CENTURY.stop)
    return seconds * SECOND if seconds in CENTURY else None


class Clock:
    """Turns the stamps of one file, in file order, into time."""

    def __init__(self, options: Options) -> None:
        self.zone: ZoneInfo = options.zone
        self._zone_given = options.zone_given
        self._stated_year = options.year
        self._latest = (options.now or options.reference or 0) + DAY
        self._offset: int | None = None  # of local time, microseconds, where queue ids overrule the zone
        self._year = options.year or moment(options.reference or options.now).year
        self._settled = options.year is not None
        self._yearless = False  # a stamp without a year was read
        self._year_from = "" if options.year else marked("{year}, from the machine's clock")
        self._newest: int | None = None  # local, microseconds
        self._newest_utc = 0
        self._stamp = b""
        self._time: int | None = None
        self._utc_prefix = b""  # of the stamp in UTC that was read last, up to its seconds
        self._utc_base = 0
        self._minute = b""  # of the RFC 3164 stamp that was read last, where no change of clocks is near
        self._iso_minute = b""  # the same of an ISO stamp without a zone
        self._iso_local = self._iso_utc = 0
        self._local_minute = 0  # when it begins
        self._utc_minute = 0

    @property
    def year(self) -> int:
        """Year of the next stamp that lacks one."""
        return self._year

    @property
    def year_evidence(self) -> str:
        """What told the year of stamps that have none; "" where all have one."""
        return translated(self._year_from).format(year=self._year) if self._yearless else ""

    def settle(self, sampled: list[bytes], reference: int) -> None:
        """Fix the year of the first stamp, from sampled lines in file order and from when the file was written."""
        split = Envelope().split
        stamps = [parts[0] for parts in map(split, sampled) if parts]
        found = [parts for parts in map(RFC3164.match, stamps) if parts and not parts[7]]
        if self._settled or not found:
            return
        self._settled = True
        year = moment(reference).year + 1
        while year > 1970:
            local = _local(year, found[-1])
            if local is not None and self._utc(local) <= reference + DAY:
                break
            year -= 1
        days = [(_local(2000, parts) or 0) // DAY for parts in found]
        wraps = sum(later < earlier - WRAP // DAY for earlier, later in pairwise(days))
        self._year = year - wraps
        self._year_from = marked("{year}, from when the file was written")

    def evidence(self, stamp: bytes, made: int | None) -> None:
        """A queue id, made when the line was logged, tells the year and the zone that its stamp lacks."""
        parts, dated = RFC3164.match(stamp), ISO.match(stamp)
        if made is None or (parts[7] if parts else dated is None or dated[8]):
            return
        if parts and self._stated_year is None:
            self._correct_year(parts, made)
        time = self.at(stamp)
        if time is not None and not self._zone_given and abs(made - time) > 10 * 60 * SECOND:
            local = _local(moment(made).year, parts) if parts else dated and _civil_of(dated)
            quarter = 15 * 60 * SECOND
            offset = round(((local or 0) - made) / quarter) * quarter
            if abs(offset) <= 14 * 3600 * SECOND:
                self._offset = offset
                self._stamp = self._minute = self._iso_minute = b""

    def _correct_year(self, parts: re.Match[bytes], made: int) -> None:
        for year in (moment(made).year + step for step in (0, -1, 1)):
            local = _local(year, parts)
            if local is not None and abs(local - made) <= DAY:
                if year != self._year:
                    self._year, self._newest, self._stamp, self._minute = year, None, b"", b""
                self._settled = True
                self._year_from = marked("{year}, from queue ids")
                return

    def resume(self, stamp: bytes, newest: int, offset: int | None, *, year_found: bool) -> None:
        """
        Go on behind a line of this stamp, when time had come to `newest`, and queue ids had told how far the local time
        is from UTC. Of a year that was found, not stated, they may still tell better.
        """
        self._newest, self._stamp, self._minute = None, b"", b""
        if year_found:
            self._stated_year = None
        self._newest_utc = max(newest, self._newest_utc)
        if not self._zone_given and offset is not None:
            self._offset = offset
        self.at(stamp)

    @property
    def offset(self) -> int | None:
        """How far local time is from UTC, microseconds, where queue ids overrule the zone."""
        return self._offset

    def at(self, stamp: bytes) -> int | None:
        """Microseconds UTC of a stamp. Neighbouring lines share stamps, so the last one is remembered."""
        if stamp != self._stamp:
            self._stamp = stamp
            self._time = self._within_minute(stamp) if stamp[:13] == self._minute else self._read(stamp)
        return self._time

    def _within_minute(self, stamp: bytes) -> int | None:
        """A stamp of the minute that was read last: its seconds tell the rest."""
        seconds = stamp[13:]
        if len(seconds) != 2 or not seconds.isdigit() or seconds > b"59":
            return self._read(stamp)
        passed = int(seconds) * SECOND
        self._note(self._local_minute + passed, self._utc_minute + passed)
        return self._utc_minute + passed

    def _note(self, local: int, time: int) -> None:
        if self._newest is None or local > self._newest:
            self._newest = local
        if time > self._newest_utc:  # noqa: PLR1730 - for every line
            self._newest_utc = time

    def hour(self, stamp: bytes) -> int | None:
        """When the hour of an ISO stamp begins; None where what its stamps mean may depend on those before, or one is unreadable."""
        parts = ISO.match(stamp)
        local = _civil_of(parts) if parts else None
        time = self.at(stamp)
        if parts is None or local is None or time is None:
            return None
        passed = local % HOUR
        quarter = (local - passed) // (900 * SECOND)
        zoned = parts[8] is not None or self._offset is not None
        steady = zoned or len({offset for part in range(4) for offset in _offsets(self.zone, quarter + part)}) == 1
        return time - passed if steady else None

    def steady(self, first: bytes, last: bytes) -> bool:
        """Whether stamps from one to the other mean the same in any order: no change of clocks, year or zone is near."""
        if not RFC3164.match(first):
            return all(found is not None and found[8] is not None for found in map(ISO.match, (first, last)))
        begin, end = self.at(first), self.at(last)
        if begin is None or end is None or not begin <= end < begin + 20 * DAY:
            return False
        if self._newest is not None and self._year != moment(end).year:
            return False
        if self._offset is not None:
            return True
        hours = range(begin // HOUR - 26, end // HOUR + 27)
        return len({offset for hour in hours for offset in _offsets(self.zone, 4 * hour)}) == 1

    def _read(self, stamp: bytes) -> int | None:
        self._minute = b""
        if stamp[:1].isdigit():
            return int(stamp) if stamp.isdigit() and 15 <= len(stamp) <= 17 else self._iso(stamp)
        parts = RFC3164.match(stamp)
        if parts:
            return self._rfc3164(parts)
        full = SHORT_FULL.match(stamp)
        if full:
            return self._iso(full[1] + (b"Z" if full[2] in {b"UTC", b"GMT"} else b""))
        return None

    def _iso(self, stamp: bytes) -> int | None:
        if stamp[:17] == self._utc_prefix and UTC_MILLISECONDS(stamp):
            return self._utc_base + int(stamp[17:19]) * SECOND + int(stamp[20:23]) * 1000
        if stamp[:17] == self._iso_minute and len(stamp) == 19 and stamp[17:].isdigit() and stamp[17:] <= b"59":
            passed = int(stamp[17:]) * SECOND
            self._note(self._iso_local + passed, self._iso_utc + passed)
            return self._iso_utc + passed
        parts = ISO.match(stamp)
        if parts is None:
            return None
        local = _civil_of(parts)
        if local is None:
            return None
        zone = parts[8]
        if zone is None:
            return self._local_iso(stamp, local)
        if zone == b"Z":
            self._utc_prefix, self._utc_base = stamp[:17], local - local % (60 * SECOND)
            return local
        minutes = int(zone[1:3]) * 60 + int(zone[-2:])
        return local - (minutes if zone[:1] == b"+" else -minutes) * 60 * SECOND

    def _local_iso(self, stamp: bytes, local: int) -> int:
        time = self._utc(local)
        self._note(local, time)
        if len(stamp) == 19 and self._steady_minute(local, time):
            passed = local % (60 * SECOND)
            self._iso_minute, self._iso_local, self._iso_utc = stamp[:17], local - passed, time - passed
        return time

    def _steady_minute(self, local: int, time: int) -> bool:
        """Whether no change of clocks is near."""
        passed = local % (60 * SECOND)
        return time == self._utc(local - passed) + passed == self._utc(local + 60 * SECOND - passed) + passed - 60 * SECOND

    def _rfc3164(self, parts: re.Match[bytes]) -> int | None:
        if parts[7]:
            local = _local(int(parts[7]), parts)
            return None if local is None else self._utc(local)
        self._yearless = True
        local = _local(self._year, parts)
        if self._newest is not None:
            if local is None or local < self._newest - WRAP:
                following = _local(self._year + 1, parts)
                if following is not None and following <= self._latest + DAY:
                    local = following
                    self._year += 1
            elif local > self._newest + WRAP:
                preceding = _local(self._year - 1, parts)
                if preceding is not None and abs(preceding - self._newest) <= STRAGGLER:
                    local = preceding  # a straggler of 31 December behind the first lines of January
        if local is None:
            return None
        time = self._utc(local)
        self._note(local, time)
        passed = local % (60 * SECOND)
        if parts.end() == 15 and self._steady_minute(local, time):
            self._minute, self._local_minute, self._utc_minute = parts[0][:13], local - passed, time - passed
        return time

    def _utc(self, local: int) -> int:
        if self._offset is not None:
            return local - self._offset
        early, late = _offsets(self.zone, local // (900 * SECOND))
        time = local - early
        if early != late and self._newest_utc - time > 5 * 60 * SECOND:
            return local - late
        return time


@lru_cache(maxsize=4096)
def _offsets(zone: ZoneInfo, quarter: int) -> tuple[int, int]:
    """Offsets from UTC, in microseconds, of a local quarter of an hour, as read the first and the second time."""
    local = (EPOCH + timedelta(minutes=15 * quarter)).replace(tzinfo=zone)
    first, second = (local.replace(fold=fold).utcoffset() or timedelta() for fold in (0, 1))
    return first // timedelta(microseconds=1), min(first, second) // timedelta(microseconds=1)


def _civil_of(parts: re.Match[bytes]) -> int | None:
    return _civil(int(parts[1]), int(parts[2]), int(parts[3]), parts[4], parts[5], parts[6], parts[7])


def _local(year: int, parts: re.Match[bytes]) -> int | None:
    month = MONTHS.get(parts[1])
    return None if month is None else _civil(year, month, int(parts[2]), parts[3], parts[4], parts[5], parts[6])


def _civil(year: int, month: int, day: int, hour: bytes, minute: bytes, second: bytes, fraction: bytes | None) -> int | None:
    """Microseconds since 1970 of a civil time, as if it were UTC; a leap second counts as the one before."""
    midnight = _midnight(year, month, day)
    hours, minutes, seconds = int(hour), int(minute), min(int(second), 59)
    if midnight is None or hours > 23 or minutes > 59 or int(second) > 60:
        return None
    return midnight + (hours * 3600 + minutes * 60 + seconds) * SECOND + (int(fraction[:6].ljust(6, b"0")) if fraction else 0)


@lru_cache(maxsize=4096)
def _midnight(year: int, month: int, day: int) -> int | None:
    """Microseconds since 1970 of a date's beginning, None for a date that does not exist or lies before there were logs."""
    try:
        return micros(datetime(year, month, day, tzinfo=UTC)) if year > 1970 else None
    except ValueError:
        return None
