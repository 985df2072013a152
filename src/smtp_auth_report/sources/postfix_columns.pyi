from collections.abc import Callable
from typing import Any

class Door:
    owner: Any
    sessions: int
    encrypted: int
    newest: int
    queue_ids: list[bytes]
    def __init__(
        self,
        owner: object,
        place: tuple[str, str, str],
        outcome: str,
        key: Any,
        read_ending: Callable[[bytes, bool], tuple[int, str] | None],
        read_failed_ending: Callable[[bytes, bool, int], str | None],
    ) -> None: ...
    def begin(self) -> None: ...

class Columns:
    count: int
    def __init__(
        self,
        read_client: Callable[[bytes], tuple[str | None, str | None] | None],
        read_tls: Callable[[bytes], tuple[str, str | None] | None],
        read_mechanism: Callable[[bytes], str | None],
    ) -> None: ...
    def hand_over(self) -> tuple[bytes, Any, Any, Any, list[str], list[str | None]]: ...
