"""The application as Dramatiq wants it: ``dramatiq workers.app:broker``."""

from __future__ import annotations

# Importing the actors registers them with the broker.
from . import actors
from .broker import broker

__all__ = ["actors", "broker"]
