"""
What the state database keeps for the pages: the files that were asked for.

Users, saved filters and schedules come here when issues ask for them; submissions never do.
"""

from __future__ import annotations

import json
from uuid import uuid4

from django.db import models
from django.utils.translation import gettext_lazy

from smtp_auth_report.store.interface import Selection


class Progress(models.TextChoices):
    """How far a requested file has got."""

    WAITING = "waiting", gettext_lazy("Waiting")
    RUNNING = "running", gettext_lazy("In progress")
    DONE = "done", gettext_lazy("Ready")
    FAILED = "failed", gettext_lazy("Failed")


class RequestedReport(models.Model):
    """One file: every submission of a selection. Its random identifier is all that a download names."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    asked = models.BigIntegerField()  # microseconds UTC
    start = models.BigIntegerField()
    end = models.BigIntegerField()
    zone = models.CharField(max_length=64)
    filters = models.TextField(default="{}")  # JSON: name -> values
    format = models.CharField(max_length=16)
    progress = models.CharField(max_length=8, choices=Progress.choices, default=Progress.WAITING)
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(default=0)
    size = models.BigIntegerField(default=0)
    failure = models.TextField(default="")

    class Meta:
        ordering = ("-asked",)

    def __str__(self) -> str:
        return f"{self.format} {self.start}-{self.end}"

    @property
    def selection(self) -> Selection:
        """What the file holds."""
        filters = {name: tuple(values) for name, values in json.loads(self.filters).items()}
        return Selection(self.start, self.end, self.zone, filters)

    @property
    def is_open(self) -> bool:
        return self.progress in (Progress.WAITING, Progress.RUNNING)
