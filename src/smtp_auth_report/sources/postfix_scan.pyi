from typing import TypeAlias

from smtp_auth_report.sources.postfix_columns import Columns
from smtp_auth_report.sources.postfix_runs import Runs

Failure: TypeAlias = tuple[int, bytes, bytes | None, bytes | None, bool]
FailedSession: TypeAlias = tuple[int, bytes, bytes, tuple[str | None, str | None], tuple[str, str | None], int, list[Failure]]
OtherSession: TypeAlias = tuple[
    int, bytes, bytes, tuple[str | None, str | None], tuple[str, str | None], int, tuple[int, bytes, bytes] | None
]

class Scan(Runs):
    def sessions(self, columns: Columns, doors: bytes, times: bytes) -> None: ...
    def failures(self, columns: Columns, doors: bytes, times: bytes) -> list[FailedSession]: ...
    def others(self, columns: Columns, doors: bytes, times: bytes) -> list[tuple[int, OtherSession]]: ...
    def pass_over(self, number: int) -> None: ...
