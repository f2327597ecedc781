"""Mynah teaches a small language model to post the way an account does."""

from __future__ import annotations

__version__ = "0.1.0"
