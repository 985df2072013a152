"""
Postfix: the lines of smtpd, by process and session, as columns.

    runs = Runs(batch, numbers, shape)
    runs.signed, runs.clients            keys of queue ids of messages, sent after a sign-in or not
    runs.pass_over(keep, under_way)      keep the lines of sessions that may matter
    runs.whole(keep, messages)           sessions that went as most do, from end to end

A run is what one process logs from one `connect` to the next.

What goes wrong
    Nothing: what is not understood belongs to a session that may matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from smtp_auth_report.sources.byte_columns import MIX, Batch, Numbers, ids, word

SAYS, BEGINS, ENDS, NEUTRAL, SIGNED, QUIET = range(6)
"""
What a line is to its session: one that may matter, `connect`, `disconnect`, one without consequence, a message after a
sign-in, and one without consequence even in a session with messages: of TLS, or about keywords that are not offered.
"""

TLS_WORDS = (b"Anonymous", b"Untrusted", b"Trusted", b"Verified")
_CONNECT, _DISCONNECT, _LOST, _TIMEOUT, _DISCARDING = (
    word(text)[0] for text in (b"connect ", b"disconne", b"lost con", b"timeout ", b"discardi")
)
_NOQUEUE = word(b"NOQUEUE:")[0]


class Messages(NamedTuple):
    """Of messages whose every line is in the batch, in the order of their keys."""

    key: Numbers
    message_id: Numbers  # number of the line, -1 where there is none
    active: Numbers  # number of the queue manager's line
    group: Numbers  # of the instance that the queue manager's line has


class Whole(NamedTuple):
    """One session: its first line, that of TLS or -1, its last, and for each message its lines."""

    group: int
    connect: int
    tls: int
    disconnect: int
    messages: list[tuple[int, int, int]]  # client=, message-id= or -1, from=


class Runs:
    """Lines of smtpd, sorted by process."""

    def __init__(self, batch: Batch, numbers: Numbers, text: Numbers, pid: Numbers, group: Numbers, instance: Numbers) -> None:
        process = pid ^ (group.astype(np.uint64) * MIX)
        order = np.argsort(process, kind="stable")
        process = process[order]
        self._batch = batch
        self._numbers, self._group, self._instance, text = numbers[order], group[order], instance[order], text[order]
        self.says = says = np.zeros(len(order), np.int8)
        head = batch.words[text]
        for start, whole, kind in ((_CONNECT, b"connect from ", BEGINS), (_DISCONNECT, b"disconnect from ", ENDS)):
            some = np.flatnonzero(head == start)
            says[some[batch.matches(text[some], whole)]] = kind
        says[(head == _LOST) | (head == _TIMEOUT)] = NEUTRAL
        says[head == _DISCARDING] = QUIET
        self._tls = np.zeros(len(order), bool)
        for name in TLS_WORDS:
            some = np.flatnonzero(head == word((name + b" ")[:8])[0])
            self._tls[some[batch.matches(text[some], name + b" TLS connection established from ")]] = True
        says[self._tls] = QUIET
        self._with_queue_id(head, text)
        self._names = np.flatnonzero(head == word(b"warning:")[0])
        self._names = self._names[batch.matches(text[self._names], b"warning: hostname ")]
        says[self._names] = NEUTRAL
        first = np.ones(len(order), bool)
        first[1:] = process[1:] != process[:-1]
        self._first = first
        self._begin = np.flatnonzero(first | (says == BEGINS))
        self._end = np.append(self._begin[1:], len(order))
        self._behind = self._whole_runs() if len(order) else np.zeros(0, bool)

    def _whole_runs(self) -> Numbers:
        """Runs from `connect` to the only `disconnect`, behind another run of their process that ended."""
        says, begin = self.says, self._begin
        ended = says[self._end - 1] == ENDS
        behind = np.zeros(len(begin), bool)
        behind[1:] = ended[:-1]
        once = np.add.reduceat((says == ENDS).astype(np.int64), begin) == 1
        found: Numbers = behind & ~self._first[begin] & once & ended & (says[begin] == BEGINS)
        return found

    def _with_queue_id(self, head: Numbers, text: Numbers) -> None:
        """Messages, and refusals that have none."""
        batch, says = self._batch, self.says
        some = np.flatnonzero(says == SAYS)
        found = ids(batch, text[some])
        client = batch.matches(text[some] + found.colon + 2, b"client=") & (found.colon > 0)
        noqueue = head[some] == _NOQUEUE
        signed = client.copy()
        signed[client] = batch.have(self._numbers[some[client]], [b"sasl_"])
        self.filtered = bool((signed & noqueue).any())
        """Whether a before-queue filter shows."""
        self.signed = found.key[signed]
        self.clients = found.key[client & ~signed]
        self._clients = some[client & ~signed]
        self._keys = np.zeros(len(says), np.uint64)
        self._keys[some] = found.key
        self._refusals = some[noqueue & batch.matches(text[some] + 9, b"reject: ")]
        says[self._clients] = says[self._refusals] = NEUTRAL
        says[some[signed & ~noqueue]] = SIGNED

    def pass_over(self, keep: Numbers, bound: Numbers, under_way: Numbers, shown: Numbers, *, filtered: bool) -> int:
        """
        Keep lines of sessions that may matter; how many lines about TLS are not kept. `under_way` are keys of queue ids
        that matter, `shown` the groups whose STARTTLS is known; lines that are `bound` are kept, so their sessions are too.
        """
        if not len(self._numbers):
            return 0
        says = self.says
        says[self._clients[np.isin(self.clients, under_way) | filtered]] = SAYS
        ends = np.flatnonzero(says == ENDS)
        doubtful = ends[~np.isin(self._group[ends], shown)]
        marked = says.copy()
        marked[(says == SIGNED) | bound[self._numbers]] = SAYS
        for places, needles in (
            (self._refusals, (b"sasl_", b"not owned by user")),
            (self._names, (b"SASL",)),
            (ends, (b" auth=",)),
            (doubtful, (b" starttls=",)),
        ):
            possible = places[self._silent(marked)[places]]
            marked[possible[self._batch.have(self._numbers[possible], needles)]] = SAYS
        passed = self._silent(marked)
        keep[self._numbers[~passed]] = True
        return int((passed & self._tls).sum())

    def _silent(self, says: Numbers) -> Numbers:
        """Lines of whole sessions in which nothing is said."""
        passed = (np.add.reduceat((says == SAYS).astype(np.int64), self._begin) == 0) & self._behind
        return np.repeat(passed, self._end - self._begin)

    def whole(self, bound: Numbers, messages: Messages) -> Iterator[Whole]:
        """Sessions with messages where nothing else is said. `bound` lines are read one by one in any case."""
        if not len(self._numbers) or not len(messages.key):
            return
        says, begin, place = self.says, self._begin, np.arange(len(self.says))
        signed = np.flatnonzero(says == SIGNED)
        which = self._messages_of(signed, messages)
        usual = ((says == BEGINS) | (says == ENDS) | (says == QUIET)) & ~bound[self._numbers]
        usual[signed] = (which >= 0) & ~bound[self._numbers[signed]]
        tls = np.maximum.reduceat(np.where(self._tls, place, -1), begin)
        chosen = (np.add.reduceat((~usual).astype(np.int64), begin) == 0) & self._behind
        chosen &= np.add.reduceat(self._tls.astype(np.int64), begin) <= 1
        chosen &= tls < np.minimum.reduceat(np.where(says == SIGNED, place, len(says)), begin)
        chosen &= np.add.reduceat((says == SIGNED).astype(np.int64), begin) > 0
        of_line = np.full(len(says), -1, np.int64)
        of_line[signed] = which
        numbers, at = self._numbers.tolist(), of_line.tolist()
        message_id, active = messages.message_id.tolist(), messages.active.tolist()
        first = begin[chosen]
        runs = zip(*(column.tolist() for column in (first, self._end[chosen], tls[chosen], self._group[first])), strict=True)
        for start, end, encrypted, group in runs:
            sent = [(numbers[line], message_id[at[line]], active[at[line]]) for line in range(start + 1, end - 1) if at[line] >= 0]
            yield Whole(group, numbers[start], numbers[encrypted] if encrypted >= 0 else -1, numbers[end - 1], sent)

    def _messages_of(self, signed: Numbers, messages: Messages) -> Numbers:
        """Place of each message among `messages`, -1 where its lines are not as they should be."""
        place = np.searchsorted(messages.key, self._keys[signed])
        place[place == len(messages.key)] = 0
        number, noted, active = self._numbers[signed], messages.message_id[place], messages.active[place]
        good = (messages.key[place] == self._keys[signed]) & (messages.group[place] == self._instance[signed]) & (active > number)
        return np.where(good & ((noted < 0) | ((noted > number) & (noted < active))), place, -1)
