"""The run report: what a stage did, with which versions, weights and random seed, and what it rejected."""

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

_VERSIONED = ("lesiongraph", "numpy", "pandas", "pydicom", "highdicom", "scikit-learn", "torch")


@dataclass
class RunReport:
    """Filled while a stage runs; `as_dict` gives the JSON that `--json` prints."""

    verb: str
    counts: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    rng_seed: int | None = None
    weights: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    already_done: bool = False
    started: float = field(default_factory=time.perf_counter, repr=False)
    seconds: float | None = None

    def finish(self) -> RunReport:
        """Stop the clock."""
        self.seconds = round(time.perf_counter() - self.started, 3)
        return self

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return {
            "verb": self.verb,
            "already_done": self.already_done,
            "counts": dict(self.counts),
            "rejected": dict(self.rejected),
            "seconds": self.seconds,
            "rng_seed": self.rng_seed,
            "weights": self.weights,
            "notes": self.notes,
            "details": self.details,
            "versions": _versions(),
        }


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _VERSIONED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
