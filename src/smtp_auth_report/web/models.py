"""
What the state database keeps for the pages: who may sign in, what they did, the files that were asked for, the views that
were saved, how the dashboard is arranged, who gets a digest, mail.

Submissions never come here.
"""

from __future__ import annotations

import json
from typing import ClassVar
from uuid import uuid4

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models
from django.utils.translation import gettext_lazy

from smtp_auth_report.reports.rhythms import Every
from smtp_auth_report.store.interface import Selection
from smtp_auth_report.web.detail import in_words
from smtp_auth_report.web.reader import Reader, Role


class Person(AbstractBaseUser):
    """Somebody who may sign in. `name` is kept case-folded."""

    name = models.CharField(max_length=254, unique=True)
    role = models.CharField(max_length=16, choices=[(role.value, role.value) for role in Role])
    domains = models.TextField(default="[]")  # JSON: account domains that a reader of domains sees
    by_groups = models.BooleanField(default=False)  # came through the OpenID Connect provider, and is what it says
    out = models.BooleanField(default=False)  # no group there gives them a role any more
    factor_salt = models.CharField(max_length=32, default="")  # see second_factor.py; none where it is off
    factor_step = models.BigIntegerField(default=0)  # time step (RFC 6238) of the newest code that was accepted

    USERNAME_FIELD = "name"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    @property
    def reader(self) -> Reader:
        role = Role(self.role)
        return Reader(self.name, role, frozenset(json.loads(self.domains)) if role == Role.DOMAINS else None)

    def get_session_auth_hash(self) -> str:
        """Other sessions end when the password changes, and when a second factor is switched on or off."""
        return super().get_session_auth_hash() + self.factor_salt


class RecoveryCode(models.Model):
    """What somebody shows, once, in place of a code of their app. The code itself is kept nowhere."""

    person = models.ForeignKey(Person, on_delete=models.CASCADE)
    digest = models.CharField(max_length=64, unique=True)

    def __str__(self) -> str:
        return f"recovery code of {self.person}"


def person_of(reader: Reader) -> Person | None:
    """The row of a reader; none where nobody signs in."""
    return Person.objects.filter(name=reader.name).first()


def owned_by(reader: Reader) -> models.Q:
    """Rows with a `person` that are the reader's."""
    return models.Q(person__name=reader.name) if reader.name else models.Q(person=None)


class Token(models.Model):
    """What a program of somebody's shows in place of a password. The token itself is kept nowhere."""

    person = models.ForeignKey(Person, on_delete=models.CASCADE)
    label = models.CharField(max_length=64)
    digest = models.CharField(max_length=64, unique=True)
    made = models.BigIntegerField()  # microseconds UTC
    used = models.BigIntegerField(default=0)  # written once an hour at most

    class Meta:
        ordering = ("-made",)
        constraints = (models.UniqueConstraint(fields=("person", "label"), name="one_token_of_a_label"),)

    def __str__(self) -> str:
        return f"{self.label} of {self.person}"


class Deed(models.TextChoices):
    """What the page of people tells of."""

    SIGNED_IN = "signed in", gettext_lazy("Signed in")
    SIGNED_OUT = "signed out", gettext_lazy("Signed out")
    REFUSED = "refused", gettext_lazy("Sign-in refused")
    CODE_REFUSED = "code refused", gettext_lazy("Code refused after the right password")
    HELD_UP = "held up", gettext_lazy("Sign-in held up after too many refusals")
    EXPORTED = "exported", gettext_lazy("Rows exported")
    CHANGED = "changed", gettext_lazy("People changed")


class Event(models.Model):
    """One thing that somebody did. Of a name that nobody here has, only a keyed hash is kept: it may be a password."""

    time = models.BigIntegerField(db_index=True)  # microseconds UTC
    deed = models.CharField(max_length=16, choices=Deed.choices)
    name = models.CharField(max_length=254, default="")
    name_key = models.CharField(max_length=16, default="", db_index=True)
    address = models.CharField(max_length=64, default="")  # of the client
    network = models.CharField(max_length=64, default="", db_index=True)  # that its refusals count for
    detail = models.CharField(max_length=500, default="")  # see detail.py; of earlier versions what is told
    values = models.TextField(default="{}")  # JSON: place in it -> value

    class Meta:
        ordering = ("-time", "-id")

    def __str__(self) -> str:
        return f"{self.name or self.name_key} {self.deed}"

    @property
    def told(self) -> str:
        """The detail, in the language of whoever reads."""
        return in_words(self.detail, json.loads(self.values))


class Progress(models.TextChoices):
    """How far a requested file has got."""

    WAITING = "waiting", gettext_lazy("Waiting")
    RUNNING = "running", gettext_lazy("In progress")
    DONE = "done", gettext_lazy("Ready")
    FAILED = "failed", gettext_lazy("Failed")
    CANCELLED = "cancelled", gettext_lazy("Cancelled")


OPEN = (Progress.WAITING, Progress.RUNNING)


class RequestedReport(models.Model):
    """One file: every submission of a selection. Its random identifier is all that a download names."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    person = models.ForeignKey(Person, on_delete=models.CASCADE, null=True)  # none where nobody signs in
    asked = models.BigIntegerField()  # microseconds UTC
    start = models.BigIntegerField()
    end = models.BigIntegerField()
    zone = models.CharField(max_length=64)
    filters = models.TextField(default="{}")  # JSON: name -> values
    format = models.CharField(max_length=16)
    columns = models.JSONField(default=list)  # names in their order; none is all
    progress = models.CharField(max_length=16, choices=Progress.choices, default=Progress.WAITING)
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(default=0)
    size = models.BigIntegerField(default=0)
    rows_from = models.BigIntegerField(default=0)  # microseconds UTC: rows of its period from before had expired; 0 where none had
    failure = models.TextField(default="")
    database = models.TextField(default="")  # of which rows it is; "" of whichever server makes it
    claimed_by = models.TextField(default="")  # which process of a `serve` makes it, or did last
    claimed_until = models.BigIntegerField(default=0)  # microseconds UTC: whoever makes it sees to it that this is to come
    host = models.TextField(default="")  # of the same, for people

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
        return self.progress in OPEN


class SavedView(models.Model):
    """A state of the report page under a name; whose it is, and whether others see it."""

    person = models.ForeignKey(Person, on_delete=models.CASCADE, null=True)  # none where nobody signs in
    name = models.CharField(max_length=80)
    state = models.TextField()  # the parameters of its address
    shared = models.BooleanField(default=False)

    class Meta:
        ordering = ("name", "id")
        constraints = (
            models.UniqueConstraint(fields=("person", "name"), name="one_view_of_a_name"),
            models.UniqueConstraint(fields=("name",), condition=models.Q(person=None), name="one_view_of_a_name_of_nobody"),
        )

    def __str__(self) -> str:
        return self.name


class Arrangement(models.Model):
    """How somebody has arranged the cards of the dashboard, by their keys. Without one they are at their usual places."""

    person = models.OneToOneField(Person, on_delete=models.CASCADE, null=True)  # none where nobody signs in
    order = models.JSONField(default=list)
    hidden = models.JSONField(default=list)

    def __str__(self) -> str:
        return f"of {self.person}"


class Sending(models.TextChoices):
    """How far a mail has got."""

    WAITING = "waiting", gettext_lazy("To be sent")
    UNDER_WAY = "under way", gettext_lazy("Being sent")
    SENT = "sent", gettext_lazy("Sent")
    FAILED = "failed", gettext_lazy("Not sent")


class Subscription(models.Model):
    """That somebody gets a digest, and of which period it was last claimed."""

    person = models.OneToOneField(Person, on_delete=models.CASCADE)
    every = models.CharField(max_length=16, choices=[(every.value, every.value) for every in Every])
    address = models.CharField(max_length=254)
    language = models.CharField(max_length=16)
    zone = models.CharField(max_length=64)
    told = models.BigIntegerField()  # microseconds UTC: the end of that period

    class Meta:
        ordering = ("person__name",)

    def __str__(self) -> str:
        return f"every {self.every} to {self.address}"


class Mail(models.Model):
    """One message to one address: a requested report or a digest. Its identifier is that of the message, however often it is tried."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    request = models.ForeignKey(RequestedReport, on_delete=models.CASCADE, related_name="mails", null=True)
    subscription = models.ForeignKey(Subscription, on_delete=models.CASCADE, related_name="mails", null=True)
    start = models.BigIntegerField(default=0)  # microseconds UTC, of a digest
    end = models.BigIntegerField(default=0)
    planned = models.BigIntegerField(default=0)  # microseconds UTC: when it was to be sent
    address = models.CharField(max_length=254)
    language = models.CharField(max_length=16)
    state = models.CharField(max_length=16, choices=Sending.choices, default=Sending.WAITING)
    claimed_by = models.TextField(default="")  # which `serve` sends it, or did last
    claimed_until = models.BigIntegerField(default=0)  # microseconds UTC: one that is under way longer was interrupted
    attempts = models.IntegerField(default=0)
    due = models.BigIntegerField(db_index=True)  # microseconds UTC: not tried before
    sent = models.BigIntegerField(default=0)  # microseconds UTC
    failure = models.TextField(default="")

    class Meta:
        ordering = ("due", "id")

    def __str__(self) -> str:
        return f"{self.address} {self.state}"

    @property
    def is_soon(self) -> bool:
        """Whether it is worth waiting for."""
        return self.state == Sending.UNDER_WAY or (self.state == Sending.WAITING and not self.attempts)
