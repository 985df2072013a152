from collections.abc import Callable, Container
from typing import Any, Protocol, TypeAlias

from smtp_auth_report.sources.exim_found import Found

Client: TypeAlias = tuple[str | None, str | None, str | None]
Failure: TypeAlias = tuple[str, str, str, str]

class Clock(Protocol):
    def hour(self, stamp: bytes, /) -> int | None: ...
    def at(self, stamp: bytes, /) -> int | None: ...
    def note(self, stamp: bytes, /) -> object: ...

class Scan:
    def __init__(
        self,
        prefix: bytes,
        clock: Clock,
        read_manner: Callable[[bytes], tuple[int, tuple[Any, ...]] | None],
        read_client: Callable[[bytes], tuple[int, Client] | None],
        read_failure: Callable[[bytes], tuple[int, Failure] | None],
    ) -> None: ...
    def begin(self, found: Found) -> None: ...
    def next_line(self, but: Container[str | None]) -> bytes | tuple[int, Failure, Client, str] | None: ...
    def hand_over(self) -> tuple[bytes, Any, Any, Any, str, str]: ...
