from collections.abc import Callable

from smtp_auth_report.sources.exchange_lines import Outline, Row
from smtp_auth_report.sources.exchange_whole import Whole
from smtp_auth_report.sources.interface import Batch

class Found:
    plain: bool
    def __init__(self, batch: Batch) -> None: ...
    def rows(self, known: set[bytes], hour: Callable[[bytes], int | None], whole: Whole, /) -> list[Row | bytes | Outline]: ...
