"""
Write a believable Postfix log of a small site: thirteen months, three domains, 40 accounts.

    python examples/demo.py --output demo.log
    python examples/demo.py --end 2026-11-23 --seed 7 --envelope rfc3164 --output -

The same seed and end give the same text. The text ends with `--end`: a day (the whole of it, UTC), or a moment;
now, when it is not given. How many rows a reader must find in it is said on standard error.

What goes wrong
    The output cannot be written: one line, exit status 1.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from demo_site import DAY, DAYS, DOMAINS, Site
from postfix_writer import SECOND, Line, Server, outcomes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SEED = 2026
HOST = "mail"
LONGEST_SESSION = 60 * SECOND
PERMITS_LOGGED = 60 * DAY  # so long ago the administrator asked Postfix for the names that clients give
TIMES = tuple(f"{hour:02}:{minute:02}:{second:02}" for hour in range(24) for minute in range(60) for second in range(60))


def write(file: TextIO, end: datetime, seed: int = SEED, envelope: str = "iso", days: int = DAYS) -> Counter[str]:
    """Write the log and give the number of rows by outcome that it stands for."""
    found: Counter[str] = Counter()
    dress = ENVELOPES[envelope]
    rng = random.Random(seed)
    for midnight, lines in by_day(Site(rng, int(end.timestamp()) * SECOND, days), rng, found):
        file.writelines(dress(midnight, lines))
    return found


def by_day(site: Site, rng: random.Random, found: Counter[str]) -> Iterator[tuple[int, list[Line]]]:
    """Midnight and the lines of each day; `found` counts outcomes on the way."""
    end = site.end
    server = Server(rng, "3.7", frozenset(DOMAINS))
    upgrade = site.start + site.days * 2 // 5 * DAY
    lines = server.started(site.start)
    for midnight in range(site.start, end, DAY):
        if midnight == upgrade:
            server = Server(rng, "3.9", frozenset(DOMAINS))
            lines += server.started(midnight)
        server.log_permits = midnight > end - PERMITS_LOGGED
        sessions = (session for session in site.day(midnight) if session.start < end - LONGEST_SESSION)
        for session in sorted(sessions, key=lambda session: session.start):
            found.update(outcomes(session))
            lines += server.log(session)
        lines.sort()
        today = [line for line in lines if line[0] < min(midnight + DAY, end)]
        yield midnight, today
        lines = lines[len(today) :]


def iso(midnight: int, lines: list[Line]) -> Iterator[str]:
    """As rsyslog writes on Debian 12: 2026-11-23T16:06:06.057160+00:00."""
    date = datetime.fromtimestamp(midnight // SECOND, UTC).strftime("%Y-%m-%dT")
    for time, text in lines:
        second, micros = divmod(time - midnight, SECOND)
        yield f"{date}{TIMES[second]}.{micros:06}+00:00 {HOST} {text}\n"


def rfc3164(midnight: int, lines: list[Line]) -> Iterator[str]:
    """As syslog always did: Nov 23 16:06:06, the day padded with a space."""
    day = datetime.fromtimestamp(midnight // SECOND, UTC)
    date = f"{day:%b} {day.day:2} "
    for time, text in lines:
        yield f"{date}{TIMES[(time - midnight) // SECOND]} {HOST} {text}\n"


ENVELOPES: dict[str, Callable[[int, list[Line]], Iterator[str]]] = {"iso": iso, "rfc3164": rfc3164}


def moment(text: str) -> datetime:
    """A day (its end) or a moment, UTC."""
    given = datetime.fromisoformat(text)
    if len(text) == len("2026-11-23"):
        given += timedelta(days=1)
    return given.replace(tzinfo=given.tzinfo or UTC)


def main() -> int:
    parser = argparse.ArgumentParser(description="Write thirteen months of Postfix log of a made-up site.")
    parser.add_argument("--output", required=True, help="file to write, - for standard output")
    parser.add_argument("--end", type=moment, default=datetime.now(UTC), help="last day, or moment, of the log, UTC (default: now)")
    parser.add_argument("--seed", type=int, default=SEED, help="another seed gives another log (default: %(default)s)")
    parser.add_argument("--envelope", choices=ENVELOPES, default="iso", help="form of the stamps (default: %(default)s)")
    parser.add_argument("--days", type=int, default=DAYS, help="days that the log covers, 30 at least (default: %(default)s)")
    arguments = parser.parse_args()
    try:
        with nullcontext(sys.stdout) if arguments.output == "-" else Path(arguments.output).open("w", encoding="utf-8") as file:
            found = write(file, arguments.end, arguments.seed, arguments.envelope, arguments.days)
    except OSError as error:
        print(f"demo.py: {arguments.output}: {error.strerror}", file=sys.stderr)
        return 1
    print(", ".join(f"{count} {outcome}" for outcome, count in sorted(found.items())), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
