"""Starts a system under test and never leaves a part of it behind.

``stack`` is the door: ``with Stack(spec) as stack``. Nothing is imported here, so that the keeper,
which lives in this package, starts in milliseconds.
"""
