"""Prove that the store agrees with itself: tables, decisions, ledger, indexes and files. Reads; repairs nothing."""

from memory.verify.problems import Problem, Report
from memory.verify.run import Checks, verify

__all__ = ["Checks", "Problem", "Report", "verify"]
