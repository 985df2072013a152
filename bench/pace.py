"""
What the speed of other logs is told by: pflogsumm on a Postfix log of 100 MB, in the same rounds.

    pace = Pace(folder)
    pace.run()                                      once a round
    pace.times(size, seconds)                       "12.3" times pflogsumm's bytes a second; "-" where it is not installed
    program("exim4-base", "usr/sbin/eximstats")     of a package that may not be installed beside others, so it is unpacked

What goes wrong
    pflogsumm fails: its last words, and exit status 1. A package that cannot be downloaded is no peer.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from large_log import Plan, large_log
from measure import run

PACKAGES = Path(__file__).resolve().parent.parent / ".run" / "packages"
SIZE = 100_000_000


class Pace:
    """Pflogsumm's."""

    def __init__(self, folder: Path) -> None:
        self._seconds: list[float] = []
        self._log = large_log(folder, Plan(bytes=SIZE)).path if shutil.which("pflogsumm") else None

    def run(self) -> None:
        """Once more."""
        if self._log is not None:
            self._seconds.append(run("pflogsumm", self._log).seconds)

    @property
    def speed(self) -> float:
        """Bytes a second; 0 where it did not run."""
        return self._log.stat().st_size / median(self._seconds) if self._log is not None and self._seconds else 0

    def times(self, size: int, seconds: float) -> str:
        """How many times that is so many bytes in so many seconds."""
        return f"{size / seconds / self.speed:.1f}" if self.speed else "-"

    def __str__(self) -> str:
        told = (
            f"{self.speed / 1e6:.1f} MB/s on a Postfix log of {SIZE / 1e6:.0f} MB"
            if self.speed
            else "not installed, so there are no ratios"
        )
        return f"pflogsumm: {told}"


def program(package: str, path: str) -> Path | None:
    """A program of one of Debian's packages, installed or unpacked in .run/packages; None where it cannot be had."""
    places = [Path("/", path), PACKAGES / package / path]
    if not any(place.exists() for place in places) and shutil.which("apt-get"):
        with TemporaryDirectory() as folder:
            got = subprocess.run(["apt-get", "download", "--quiet", package], cwd=folder, capture_output=True, check=False)
            PACKAGES.mkdir(parents=True, exist_ok=True)
            for archive in Path(folder).glob("*.deb") if not got.returncode else ():
                subprocess.run(["dpkg", "-x", archive, PACKAGES / package], capture_output=True, check=False)
    return next((place for place in places if place.exists()), None)
