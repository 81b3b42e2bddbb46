"""The advisor: rules that say what to change, with what was measured and how to prove it.

A rule is a pure function of what was seen of one trial. It says nothing without measured evidence,
and it proves nothing: each finding carries the command of the experiment that would.
"""

from perfkit.findings.advising import Advice, advise
from perfkit.findings.finding import SEVERITIES, Finding, Severity
from perfkit.findings.seeing import Seen, see

__all__ = ["SEVERITIES", "Advice", "Finding", "Seen", "Severity", "advise", "see"]
