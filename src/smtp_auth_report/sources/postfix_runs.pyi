from collections.abc import Callable, Collection

from smtp_auth_report.sources.log_lines import LogLines

OTHER: int
SMTPD: int
QUEUE: int

class Processes:
    def forget(self) -> None: ...
    def reopen(self, group: int, pid: int) -> None: ...

class Runs(LogLines):
    filtered: bool
    def __init__(
        self, learn: Callable[[bytes], tuple[int, bytes, bool, int, int, int, int, bytes] | int], processes: Processes
    ) -> None: ...
    def read(self, content: bytes | memoryview) -> bool: ...
    def decide(self, pending: Collection[bytes], shown: bytes, filtered: bool) -> int: ...
