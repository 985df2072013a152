from collections.abc import Callable

class Whole:
    def __init__(self, read_context: Callable[[bytes], int], is_proxy: Callable[[bytes], bool]) -> None: ...
