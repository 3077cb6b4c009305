"""Erasure that is complete: rows, texts, vectors, indexes, files and weights made of them; see docs/erasure.md.

`make_plan` shows what would go, `erase` does it and searches every byte afterwards, `certificate` proves it.
"""

from memory.erasure.plan import Line, Plan
from memory.erasure.proof import Certificate, certificate, certificates, unfinished
from memory.erasure.reach import Mentions, Target, TargetKind
from memory.erasure.residue import Residue, Scan
from memory.erasure.run import Outcome, Wish, erase, make_plan, resume
from memory.reasons import REASONS, Reason

__all__ = [
    "REASONS",
    "Certificate",
    "Line",
    "Mentions",
    "Outcome",
    "Plan",
    "Reason",
    "Residue",
    "Scan",
    "Target",
    "TargetKind",
    "Wish",
    "certificate",
    "certificates",
    "erase",
    "make_plan",
    "resume",
    "unfinished",
]
