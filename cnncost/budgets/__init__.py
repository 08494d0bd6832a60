"""Budgets: limits on figures, held against analyses and against a committed baseline."""

from __future__ import annotations
