"""
How fast a whole log is read: ingest as one command, beside pflogsumm on the same file.

    python bench/ingest.py                      1 GB, three rounds
    python bench/ingest.py --size 100 --rounds 5 --envelope iso

Each round runs, one after another,

    new         ingest into a new database
    again       the same lines from another file into that database: every row is there already
    same        the very same file once more: nothing to read
    pflogsumm   Debian's, on the same file, and so the others: the postfix script of logwatch; lnav, which is asked how
                many lines each program wrote; postfix-logsums, for ISO stamps only; and a neighbour, goaccess, on a web
                server's log a tenth as large, for it takes long

and the medians are printed, as MB/s and as times the speed of pflogsumm in the same rounds. The number of accepted rows
must be the number that was written.

What goes wrong
    A count is wrong, or a command fails: one line, exit status 1. Peers that are not there are named and left out; without
    pflogsumm there are no ratios.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

from access_log import access_log
from large_log import LargeLog, Plan, large_log
from measure import PROGRAM, Cost, check, compiled, options, run

LOGWATCH = Path("/usr/share/logwatch/scripts/services/postfix")
PACKAGES = ("pflogsumm", "lnav", "logwatch", "goaccess")
LNAV = ";SELECT log_procname, count(*) FROM syslog_log GROUP BY log_procname"
A_TENTH = 10


def rounds(log: LargeLog, folder: Path, number: int) -> dict[str, list[Cost]]:
    """The costs of each run, one for each round."""
    costs: dict[str, list[Cost]] = {"new": [], "again": [], "same": []}
    others = peers(log.path)
    twin = another_file(log.path)
    for done in range(number):
        print(f"round {done + 1} of {number} ...", flush=True)
        database = folder / "bench.duckdb"
        for old in folder.glob("bench.*"):
            old.unlink()
        for name, path in (("new", log.path), ("again", twin), ("same", log.path)):
            costs[name].append(run(PROGRAM, "ingest", "--database", database, "--year", "2025", "--timezone", "UTC", path))
            check(database, log.found["accepted"])
        for name, command in others.items():
            costs.setdefault(name, []).append(command())
    return costs


def peers(path: Path) -> dict[str, Callable[[], Cost]]:
    """What else reads Postfix logs and is there to be run."""
    iso = path.open("rb").read(5)[4:] == b"-"
    sums = Path(sys.executable).with_name("postfix-logsums")
    web = access_log(path.parent, path.stat().st_size // A_TENTH) if shutil.which("goaccess") else path
    counts = path.with_name("access.json")
    known: dict[str, tuple[bool, Callable[[], Cost]]] = {
        "pflogsumm": (shutil.which("pflogsumm") is not None, lambda: run("pflogsumm", path)),
        "logwatch": (LOGWATCH.exists(), lambda: run("perl", LOGWATCH, read=path)),
        "lnav": (shutil.which("lnav") is not None, lambda: run("lnav", "-n", "-c", LNAV, path)),
        "postfix-logsums": (iso and sums.exists(), lambda: run(sums, path)),
        "goaccess": (web != path, lambda: run("goaccess", web, "--log-format=COMBINED", "--no-global-config", "-o", counts)),
    }
    missing = [name for name, (there, _) in known.items() if not there]
    if missing:
        print(f"left out, not there or not for these stamps: {', '.join(missing)}", file=sys.stderr)
    return {name: command for name, (there, command) in known.items() if there}


def another_file(path: Path) -> Path:
    """The same lines behind one more, so that it is not known as the same file."""
    twin = path.with_suffix(".twin.log")
    if not twin.exists() or twin.stat().st_size <= path.stat().st_size:
        with path.open("rb") as source, twin.open("wb") as target:
            line = source.readline()
            target.write(line[: line.index(b"postfix/")] + b"postfix/anvil[1]: statistics: max cache size 1\n" + line)
            shutil.copyfileobj(source, target, 1 << 20)
    return twin


def show(log: LargeLog, costs: dict[str, list[Cost]], database: Path) -> None:
    size = log.path.stat().st_size
    rows = sum(log.found.values())
    print(f"{size / 1e6:.0f} MB, {log.lines:,} lines, {log.found['accepted']:,} accepted messages, {rows:,} rows, all counted right")
    print(f"{'run':<16} {'seconds':>8} {'MB/s':>8} {'k lines/s':>10} {'x pflogsumm':>12} {'memory MB':>10}")
    peer = median(cost.seconds for cost in costs["pflogsumm"]) if "pflogsumm" in costs else None
    for name, found in costs.items():
        seconds = median(cost.seconds for cost in found)
        memory = max(cost.memory for cost in found)
        part = A_TENTH if name == "goaccess" else 1
        ratio = f"{peer / seconds / part:.1f}" if peer else "-"
        lines = "-" if name == "goaccess" else f"{log.lines / seconds / 1e3:.0f}"
        print(f"{name:<16} {seconds:8.2f} {size / part / seconds / 1e6:8.1f} {lines:>10} {ratio:>12} {memory / 1e6:10.0f}")
    print(f"database {database.stat().st_size / 1e6:.1f} MB, {database.stat().st_size / rows * 1e6 / 1e6:.0f} MB per million rows")


def install_peers() -> None:
    """Those that Debian packages, where this may install them; postfix-logsums comes from PyPI."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        command = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *PACKAGES]
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "postfix-logsums"]
    subprocess.run(pip, check=False, stdout=subprocess.DEVNULL)


def main() -> int:
    parser = options("Measure ingest of a large Postfix log, beside pflogsumm.", megabytes=1000)
    parser.add_argument("--envelope", choices=("rfc3164", "iso"), default="rfc3164", help="form of the stamps (default: %(default)s)")
    arguments = parser.parse_args()
    compiled()
    install_peers()
    log = large_log(arguments.cache, Plan(bytes=int(arguments.size * 1e6), seed=arguments.seed, envelope=arguments.envelope))
    show(log, rounds(log, arguments.cache, arguments.rounds), arguments.cache / "bench.duckdb")
    return 0


if __name__ == "__main__":
    sys.exit(main())
