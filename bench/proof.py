"""
Whether the numbers are true: logs of which it is known what really happened, ingested and compared row by row.

    python bench/proof.py            all of it, into docs/proof.md: an hour and a quarter
    python bench/proof.py --short    without the long tests, and written nowhere

The real logs in tests/logs were written by servers while a client kept its own record. The made-up ones count what they
write. Each log is ingested as an administrator would, the rows are exported, and every difference is printed. Then the
tests that `make test` runs in a short form are run whole: 300 kills over rotating logs, a thousand mutated logs read with
the sieve and without, a thousand logs followed through writes, rotations and crashes of chance and a thousand damaged
archives, a log rotated at two hundred pairs of places between the reader's steps in each state and style,
readers stopped behind three hundred lines of each log, a hundred orders of commits, sums of fifty stores beside their
rows, each column of a report alone in each order, each page in either theme in either language, each defence of the
pages taken out, a soak of an hour. What was printed is written to docs/proof.md.

What goes wrong
    A difference, or a test that fails: exit status 1.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "examples"), str(ROOT / "tests")]

import demo  # noqa: E402 - found by the paths that were just added
from ingesting import Row, Site  # noqa: E402 - found by the paths that were just added
from truth import GOLDEN, Golden, accepted, faults, read  # noqa: E402 - found by the paths that were just added

LOGS = ROOT / "tests" / "logs"
NOTE = ROOT / "docs" / "proof.md"
HEADING = """# Proof

What `make proof` printed when it was last run whole; nothing here was written by hand.
[bench/proof.py](../bench/proof.py) says what each line means.

"""
SAID: list[str] = []
Proof = Callable[[Site], tuple[str, list[str]]]


def postfix(site: Site) -> tuple[str, list[str]]:
    """Postfix 3.7.11; 20 messages came through a service that logs no TLS version."""
    folder = LOGS / "postfix" / "maillog_file"
    truth = read(folder / "truth.jsonl")
    return told(truth), faults(truth, rows_of(site, folder / "mail.log", "--year", "2026"), {"tls_version": 416})


def real(golden: Golden, form: str, site: Site) -> tuple[str, list[str]]:
    """A log of another server."""
    folder = LOGS / golden.folder
    truth = read(folder / "truth.jsonl")
    return told(truth), faults(truth, rows_of(site, folder / form, "--year", "2026"), golden.tells)


def sample(site: Site) -> tuple[str, list[str]]:
    """The thirteen months of examples/demo.py."""
    log = site.folder / "demo.log"
    with log.open("w", encoding="utf-8") as file:
        written = demo.write(file, datetime(2026, 11, 23, 17, 45, tzinfo=UTC))
    counted = Counter(row["outcome"] for row in rows_of(site, log))
    differing = [outcome for outcome in written | counted if counted[outcome] != written[outcome]]
    return f"{written.total():,} rows", [f"{outcome}: {counted[outcome]} rows, {written[outcome]} written" for outcome in differing]


def rows_of(site: Site, *arguments: str | Path) -> list[Row]:
    site.ingest(*arguments)
    return site.rows()


def told(truth: list[Row]) -> str:
    return f"{len(accepted(truth)):,} authenticated messages"


PROOFS: dict[str, Proof] = {
    "postfix/maillog_file/mail.log": postfix,
    **{f"{golden.folder}/{form}": partial(real, golden, form) for golden in GOLDEN for form in golden.forms},
    "sample of make demo": sample,
}


LONG = {
    "soak": ("tests/test_soak.py", {"SOAK_SECONDS": "3600"}),
    "killed at any moment": ("tests/test_crash.py", {"CRASH_KILLS": "300"}),
    "with the sieve and without": ("tests/test_sieve.py", {"SIEVE_SEEDS": "1000"}),
    "followed through rotation and damage": ("tests/test_follow_fuzz.py", {"FOLLOW_SEEDS": "1000"}),
    "stopped behind any line": ("tests/test_resuming.py", {"RESUMING": "300"}),
    "kept in any order": ("tests/test_store.py", {"STORE_EXAMPLES": "100"}),
    "summed up": ("tests/test_sums.py", {"STORE_EXAMPLES": "50"}),
    "each column alone in each order": ("tests/test_reports.py", {"STORE_EXAMPLES": "1"}),
    "for everybody": ("tests/browser/test_accessible.py", {"ACCESSIBLE": "all"}),
    "stopped while ClickHouse is written to": ("tests/test_clickhouse_writing.py", {"CLICKHOUSE_STOPS": "all"}),
    "killed while a store is copied to ClickHouse and back": ("tests/test_migrate.py", {"MIGRATE_KILLS": "10"}),
    "defences taken out": ("tests/test_defences.py", {"DEFENCES": "all"}),
    "rotated between any two steps": ("tests/test_rotation_steps.py", {"ROTATION_STEPS": "200"}),
}
"""Test file, and the size of its whole form."""


def whole_forms() -> int:
    """Run the long tests, the soak beside the others, and say of each when it ends; how many files of them failed."""
    with ThreadPoolExecutor(2) as threads:
        runs = {threads.submit(whole_form, test): name for name, test in LONG.items()}
        return sum(ended(runs[run], run.result()) for run in as_completed(runs))


def ended(name: str, run: subprocess.CompletedProcess[str]) -> bool:
    """Say how it went; whether it failed."""
    size = ", ".join(f"{key}={value}" for key, value in LONG[name][1].items())
    said = run.stdout.strip().splitlines() or ["nothing was printed"]
    say(f"{name} ({size}): {said[-1].strip('= ')}")
    for line in said[:-1]:
        if line.startswith(name) or line[:1].isdigit() or run.returncode:
            say(f"  {line}")
    return run.returncode != 0


def whole_form(test: tuple[str, dict[str, str]]) -> subprocess.CompletedProcess[str]:
    """One of them."""
    path, size = test
    command = [sys.executable, "-m", "pytest", "-q", "-s", "--no-header", path]
    return subprocess.run(command, cwd=ROOT, env=os.environ | size, capture_output=True, text=True, check=False)


def say(line: str) -> None:
    print(line, flush=True)
    SAID.append(line)


def commit_of() -> str:
    """What was proven."""
    told = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False)
    return told.stdout.strip() or "unknown"


def main() -> int:
    parser = argparse.ArgumentParser(description="Hold what is read against what happened.")
    parser.add_argument("--short", action="store_true", help="without the long tests, and written nowhere")
    arguments = parser.parse_args()
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    say(f"{datetime.now(UTC):%Y-%m-%d}, {machine}, commit {commit_of()}")
    wrong = 0
    for name, proof in PROOFS.items():
        with TemporaryDirectory() as folder:
            what, differences = proof(Site(Path(folder)))
        say(f"{name}: {what}, {len(differences) or 'no'} differences")
        for line in differences[:20]:
            say(f"  {line}")
        wrong += len(differences)
    if not arguments.short:
        wrong += whole_forms()
        NOTE.write_text(HEADING + "\n".join(["```text", *SAID, "```", ""]), encoding="utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
