from smtp_auth_report.sources.interface import Batch

class Found:
    def __init__(self, batch: Batch) -> None: ...
