"""
Postfix: lines that cannot matter, passed over by the thousand.

    sieve = Sieve(shows_starttls, take)
    sifted = sieve.sift(batch, pending, filtered)        None: every line is to be read

Most lines of a busy server are about inbound mail and delivery. They are told by the bytes behind their stamp, with
numpy over a whole batch, and are never made into objects:

    mail postfix/smtp[989]: …                   a daemon that takes no mail
    mail postfix/qmgr[875]: A32F722C101: …      a queue id under which no signed-in client sent
    mail postfix/smtpd[1053]: connect … disconnect     a whole session without a sign-in, or an attempt at one

Of what is left most are whole sessions that went well. Those are given to `take`, which may take each or leave it.
Only the lines of those it leaves, and all that is out of the ordinary, are read one by one.

What is passed over would have changed nothing: the rows, and what is remembered, are those of reading every line. That
holds for any bytes, so only lines of a shape that was learned from the log itself are passed over, and only sessions
seen from end to end behind another such end.

What goes wrong
    Nothing. Where lines do not have the plain shapes, or a batch is odd in another way, `sift` gives None.

See also
    postfix_runs.py for sessions; postfix.py for what becomes of the lines that are kept
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from itertools import takewhile
from typing import NamedTuple

import numpy as np

from smtp_auth_report.sources import postfix_lines as lines
from smtp_auth_report.sources.byte_columns import Batch, Numbers, before, digits, heads_of, ids, keys, length, word
from smtp_auth_report.sources.envelope import LONGEST_MESSAGE, Envelope, Parts, origin
from smtp_auth_report.sources.postfix_runs import Messages, Runs, Whole

PREFIXES = 256
LONGEST_PREFIX = 300
ROUNDS = 4
SAMPLE = 200
END = 50  # last lines of a batch that are given whole

OTHER, SMTPD, QUEUE, KEPT = range(4)  # what wrote a line: nothing of interest, smtpd, cleanup or qmgr, one to read always
QUEUE_DAEMONS = frozenset({"cleanup", "qmgr", "oqmgr", "nqmgr"})

ANYWHERE = heads_of((b"imux", b"Supp", b"[ID ", b"last", b"mess", b"warn", b"SSL_"))
"""How texts begin that may matter whoever wrote them."""

HEADS = heads_of((b"conn", b"disc", b"prox", b"reje", b"milt", b"lost", b"time", b"Anon", b"Untr", b"Trus", b"Veri", b"TLS "))
_MESSAGE_ID, _ACTIVE, _REMOVED = (word(text)[0] for text in (b"message-", b"from=<", b"removed"))
_ONE, _TWO = word(b"1")[1], word(b"12")[1]
_SIX, _SEVEN = word(b"123456")[1], word(b"1234567")[1]
_COLONS, _AT_COLONS = word(b"\0:\0\0:\0\0 ")[0], np.uint64(0xFF0000FF0000FF00)


class Sifted(NamedTuple):
    """What is left of a batch."""

    lines: list[bytes | Parts]  # to be read, in their order; those of plain shapes in their parts
    end: list[bytes]  # the last lines of the batch as they stand
    total: int
    tls: int  # lines about TLS that were passed over


Take = Callable[["Lines", list[Whole]], list[bool]]
"""Reads whole sessions, and tells of each whether it did. A session's `group` is an index of `Lines.names`."""


class _Prefix(NamedTuple):
    """Everything between stamp and pid, or between stamp and text where there is no pid."""

    blank: int  # length of the stamp
    text: bytes
    kind: int
    group: int  # of one host and tag
    instance: int  # of one host and instance of Postfix
    host: int
    pid: bool


class Lines:
    """Of each line of a batch: its prefix (-1: none that is known), where its text begins (0: not found), its pid."""

    def __init__(self, batch: Batch, prefixes: list[_Prefix], names: list[tuple[str | None, str]], prefix: Numbers) -> None:
        self.batch = batch
        self.names = names  # host and tag of each group
        self.prefix = prefix
        self.blank = np.array([known.blank for known in prefixes] + [0], np.int64)[prefix]
        with_pid = np.array([known.pid for known in prefixes] + [False], bool)[prefix]
        behind = batch.starts + np.array([known.blank + 1 + len(known.text) for known in prefixes] + [0], np.int64)[prefix]
        there = batch.words[behind]
        found, mask = before(there, b"]")
        self.pid: Numbers = there & mask
        text = behind + length(mask) + 3
        good = found & digits(self.pid, mask) & batch.matches(text - 3, b"]: ")
        self.text: Numbers = np.where(with_pid, np.where(good, text, 0), behind)
        self.gap = np.where(with_pid, 3, 2)

    def minutes(self) -> set[bytes] | None:
        """Stamps of whole minutes such that the stamps of all lines differ from one in seconds only; None where some do not."""
        batch = self.batch
        found: set[bytes] = set()
        for blank in np.unique(self.blank[self.prefix >= 0]).tolist():
            starts = batch.starts[(self.blank == blank) & (self.prefix >= 0)]
            size = 13 if blank == 15 else 17
            seconds = batch.words[starts + size]
            if not digits(seconds, np.full(len(seconds), _TWO)).all() or ((seconds & _ONE) >= ord("6")).any():
                return None
            marks = [batch.words[starts], batch.words[starts + size - 8]]
            if blank > 15:
                dotted = bool(batch.matches(starts[:1] + 19, b".").all())
                if dotted and not self._fractions(starts):
                    return None
                tail = 26 if dotted else 19
                mask = np.uint64((1 << 8 * max(0, min(8, blank - tail))) - 1)
                marks += [batch.words[starts + 8], batch.words[starts + tail] & mask]
            new = np.ones(len(starts), bool)
            new[1:] = np.any([mark[1:] != mark[:-1] for mark in marks], axis=0)
            content = batch.bytes
            found |= {content[at : at + size] + b"00" + content[at + size + 2 : at + blank] for at in starts[new].tolist()}
        return found

    def _fractions(self, starts: Numbers) -> bool:
        """Whether all of these stamps have microseconds."""
        behind = self.batch.words[starts + 20]
        return bool(self.batch.matches(starts + 19, b".").all() and digits(behind, np.full(len(starts), _SIX)).all())

    def parts(self, numbers: Numbers) -> list[bytes | Parts]:
        """What `Envelope.split` gives for these lines, where their prefix is known."""
        content, batch = self.batch.bytes, self.batch
        text = np.where(self.prefix[numbers] < 0, 0, self.text[numbers])
        starts, ends = batch.starts[numbers], batch.ends[numbers]
        stamped, behind = starts + self.blank[numbers], text - self.gap[numbers]
        return [
            (content[start:stamp], content[stamp + 1 : tag], content[place:end]) if place else content[start:end]
            for start, stamp, tag, place, end in zip(*(column.tolist() for column in (starts, stamped, behind, text, ends)), strict=True)
        ]


class Sieve:
    """Learns how the lines of one file begin, and passes over those that cannot matter."""

    def __init__(self, shows_starttls: Callable[[str | None, str], bool], take: Take) -> None:
        self._shows_starttls = shows_starttls  # whether this host's tag is known not to be wrapper mode
        self._take = take
        self._prefixes: list[_Prefix] = []
        self._known: set[tuple[int, bytes]] = set()
        self._groups: dict[tuple[str | None, str], int] = {}
        self._hosts: dict[str | None, int] = {}
        self._instances: dict[tuple[str | None, str], int] = {}

    def sift(self, content: bytes, pending: Collection[bytes], *, filtered: bool) -> Sifted | None:
        """Lines that may matter; `pending` are the queue ids under way, all others matter too where mail is `filtered`."""
        if not content.endswith(b"\n"):
            return None
        batch = Batch(content)
        total = len(batch.starts)
        if int((batch.ends - batch.starts).max()) > LONGEST_MESSAGE:
            return None
        found = self._lines(batch)
        if found is None:
            return None
        unknown = (found.prefix < 0) | (found.text == 0)
        keep = unknown.copy()
        keep[:-1] |= unknown[1:]  # of "last message repeated 3 times" it is the line before that counts
        month = batch.words[batch.starts] & word(b"Nov")[1]
        keep[0] = True
        keep[1:] |= month[1:] != month[:-1]
        kinds = np.array([prefix.kind for prefix in self._prefixes] + [KEPT], np.int8)[found.prefix]
        kinds[unknown] = KEPT
        keep |= kinds == KEPT
        tls = self._sift_known(found, kinds, keep, pending, filtered=filtered)
        return Sifted(found.parts(np.flatnonzero(keep)), batch.texts(np.arange(max(0, total - END), total)), total, tls)

    def _sift_known(self, found: Lines, kinds: Numbers, keep: Numbers, pending: Collection[bytes], *, filtered: bool) -> int:
        """Decide on lines of known prefixes; how many lines about TLS are passed over."""
        batch, bound = found.batch, keep.copy()
        other = np.flatnonzero(kinds == OTHER)
        keep[other] |= batch.heads(found.text[other], ANYWHERE)
        smtpd = np.flatnonzero(kinds == SMTPD)
        of = np.array([(prefix.group, prefix.instance) for prefix in self._prefixes], np.int64)[found.prefix[smtpd]]
        runs = Runs(batch, smtpd, found.text[smtpd], found.pid[smtpd], of[:, 0], of[:, 1])
        queue = np.flatnonzero(kinds == QUEUE)
        if filtered or runs.filtered:
            keep[queue] = True
            return runs.pass_over(keep, bound, np.zeros(0, np.uint64), self._shown(), filtered=True)
        under_way = np.concatenate((keys(pending), runs.signed))
        own = ids(batch, found.text[queue])
        said = batch.heads(found.text[queue], np.concatenate((HEADS, ANYWHERE))) | (own.colon == 0)
        matter = np.isin(own.key, under_way) & ~said
        removed = (batch.words[found.text[queue] + own.colon + 2] & _SEVEN) == _REMOVED
        keep[queue] |= said | (matter & ~removed)
        tls = runs.pass_over(keep, bound, under_way, self._shown(), filtered=False)
        messages = self._messages(
            found, queue[matter], own.key[matter], own.colon[matter], np.concatenate((keys(pending), own.key[bound[queue]])), runs
        )
        self._whole(runs, found, keep, bound, messages)
        return tls

    def _messages(self, found: Lines, queue: Numbers, key: Numbers, colon: Numbers, doubtful: Numbers, runs: Runs) -> Messages:
        """Messages with one line of each kind, and no other line than those that most have."""
        there = found.batch.words[found.text[queue] + colon + 2]
        noted, active, removed = there == _MESSAGE_ID, (there & _SIX) == _ACTIVE, (there & _SEVEN) == _REMOVED
        taken, first, often = np.unique(key[active], return_index=True, return_counts=True)
        again, number = np.unique(np.concatenate((runs.signed, runs.clients)), return_counts=True)
        odd = np.concatenate((key[~(noted | active | removed)], doubtful, taken[often > 1], again[number > 1]))
        noted_key, noted_first, noted_often = np.unique(key[noted], return_index=True, return_counts=True)
        odd = np.concatenate((odd, noted_key[noted_often > 1]))
        good = ~np.isin(taken, odd)
        taken, line = taken[good], queue[active][first[good]]
        message_id = np.full(len(taken), -1, np.int64)
        if len(noted_key) and len(taken):
            place = np.minimum(np.searchsorted(noted_key, taken), len(noted_key) - 1)
            note = queue[noted][noted_first[place]]
            host = np.array([prefix.host for prefix in self._prefixes], np.int64)[found.prefix]
            message_id = np.where((noted_key[place] == taken) & (host[note] == host[line]), note, -1)
        instance = np.array([prefix.instance for prefix in self._prefixes], np.int64)[found.prefix[line]]
        return Messages(taken, message_id, line, instance)

    def _whole(self, runs: Runs, found: Lines, keep: Numbers, bound: Numbers, messages: Messages) -> None:
        """Let whole sessions be taken."""
        sessions = list(runs.whole(bound, messages))
        taken = [session for session, took in zip(sessions, self._take(found, sessions), strict=True) if took]
        passed = [line for session in taken for line in (session.connect, session.tls, session.disconnect) if line >= 0]
        passed += [line for session in taken for message in session.messages for line in message if line >= 0]
        keep[passed] = False

    def _shown(self) -> Numbers:
        return np.array([group for name, group in self._groups.items() if self._shows_starttls(*name)], np.int64)

    def _lines(self, batch: Batch) -> Lines | None:
        """Prefixes of all lines; what is not known is learned, until nothing of Postfix is left unknown."""
        for _ in range(ROUNDS):
            if len(self._prefixes) > PREFIXES:
                return None
            prefix = self._classify(batch)
            unknown = np.flatnonzero(prefix < 0)
            many = len(unknown) > len(batch.starts) // 4
            learned = self._learn(batch.texts(unknown[:: max(1, len(unknown) // SAMPLE)] if many else unknown))
            if learned is None or (many and not learned):
                return None
            if not learned:
                return Lines(batch, self._prefixes, list(self._groups), prefix)
        return None

    def _classify(self, batch: Batch) -> Numbers:
        number = np.full(len(batch.starts), -1, np.int64)
        for blank in {prefix.blank for prefix in self._prefixes}:
            mine = [(place, prefix.text) for place, prefix in enumerate(self._prefixes) if prefix.blank == blank]
            letters = zip(*(text for _, text in mine), strict=False)
            common = bytes(same[0] for same in takewhile(lambda same: len(set(same)) == 1, letters))
            base = batch.starts + (blank + 1)
            candidates = np.flatnonzero(_stamped(batch, blank) & batch.matches(base, common))
            rest = base[candidates] + len(common)
            for place, text in mine:
                number[candidates[batch.matches(rest, text[len(common) :])]] = place
        return number

    def _learn(self, texts: Iterable[bytes]) -> int | None:
        """Take over the prefixes of these lines; how many were new. None where Postfix writes in a shape that is not plain."""
        before, known = len(self._prefixes), set(self._known)
        for line in texts:
            parts = Envelope().split(line)
            if parts is None:
                if b"postfix" in line:
                    return None
                continue
            stamp, raw, _ = parts
            where = origin(raw)
            tag = lines.tag(where.tag) if where else None
            text = raw[: raw.rindex(b"[") + 1] if b"[" in raw else raw + b": "
            blank = len(stamp)
            plain = line.startswith(b"%b %b" % (stamp, text)) and (blank == 15 or line[10:11] == b"T")
            if tag is not None and (not plain or len(text) > LONGEST_PREFIX or (blank, text) in known):
                return None  # known, and yet not recognised: its stamp is odd
            if plain and (blank, text) not in self._known and len(text) <= LONGEST_PREFIX:
                name = (where.host, where.tag) if where else (None, "")
                group = self._groups.setdefault(name, len(self._groups))
                instance = self._instances.setdefault((name[0], tag.instance if tag else ""), len(self._instances))
                host = self._hosts.setdefault(name[0], len(self._hosts))
                self._known.add((blank, text))
                self._prefixes.append(_Prefix(blank, text, _kind(tag, pid=b"[" in raw), group, instance, host, b"[" in raw))
        return len(self._prefixes) - before


def _stamped(batch: Batch, blank: int) -> Numbers:
    """Lines that begin as a plain stamp of this length does; see `Envelope.split`."""
    if blank == 15:
        there: Numbers = (batch.words[batch.starts + 8] & _AT_COLONS) == _COLONS
        return there
    return batch.matches(batch.starts + 4, b"-") & batch.matches(batch.starts + 10, b"T") & batch.matches(batch.starts + blank, b" ")


def _kind(tag: lines.Tag | None, *, pid: bool) -> int:
    if tag is None:
        return OTHER
    if not pid or tag.daemon in {"", "pickup", "tlsproxy"}:
        return KEPT
    if tag.daemon == "smtpd":
        return SMTPD
    return QUEUE if tag.daemon in QUEUE_DAEMONS else OTHER
