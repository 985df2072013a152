from collections.abc import Callable
from typing import Any

class Columns:
    def __init__(
        self,
        read_client: Callable[[bytes], tuple[int, tuple[str | None, str | None]] | None],
        read_tls: Callable[[bytes], tuple[int, tuple[str, str | None]] | None],
        read_mechanism: Callable[[bytes], tuple[int, str] | None],
        read_sent: Callable[[bytes], tuple[int, str] | None],
        read_failed: Callable[[bytes], tuple[int, str] | None],
        read_silent: Callable[[bytes], tuple[int, str] | None],
    ) -> None: ...
    def door(self, place: tuple[str, str, str, str], prefix: bytes) -> int: ...
    def hand_over(self) -> tuple[tuple[bytes, Any, Any, Any, str, str], list[tuple[int, int, int, int, int, bytes, bytes]]]: ...
