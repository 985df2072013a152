"""
Why a server refused, from the words of its answer, in ours: for servers that log no more of a refusal than that answer.

    refusal("550 5.1.1 User unknown")       "unknown_recipient"
    refusal("451 try again later")          "deferred"
"""

from __future__ import annotations

import re
from functools import lru_cache

_REFUSALS = (
    (r"not allowed to send|sender address rejected: not owned|doesn't match AUTH domain|not own", "sender_not_owned"),
    (r"relay(?:ing)? (?:access )?(?:denied|not (?:allowed|permitted))|cannot deliver mail for|authentication is required", "relay_denied"),
    (r"too (?:large|big)|message size|maximum .*size|size exceeds|5\.3\.4", "too_large"),
    (r"user unknown|unknown user|does ?n[o']t exist|no such user|> unknown|mailbox unavailable|5\.1\.1|5\.1\.2", "unknown_recipient"),
    (r"rate limit|too many|limit exceeded|quota", "rate_limited"),
    (r"spam|virus|content|dkim|dmarc|malware|header|bare (?:lf|line)", "content_refused"),
    (r"recipient", "recipient_refused"),
    (r"sender|spf|mail from", "sender_refused"),
)
_PATTERNS = tuple((re.compile(pattern, re.IGNORECASE), reason) for pattern, reason in _REFUSALS)

REASONS = tuple(sorted({*(reason for _, reason in _REFUSALS), "deferred", "refused"}))
"""Every reason that `refusal` gives."""


@lru_cache(maxsize=4096)
def refusal(answer: str, otherwise: str = "refused") -> str:
    """Reason for an answer; `otherwise` where no word of it is known and it does not begin with 4."""
    found = next((reason for pattern, reason in _PATTERNS if pattern.search(answer)), None)
    return found or ("deferred" if answer.startswith("4") else otherwise)
