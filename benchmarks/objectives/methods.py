"""The ways to learn an embedding that are compared, one row each; the first is the paper's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class Method:
    """One way: what is drawn, what is lost, what the head sees, how it is optimised."""

    label: str
    objective: Literal["sequences", "contrastive", "multi-similarity", "proxy-anchor"] = "sequences"
    place_pull: float = 0.0  # weight of the log-ratio loss over places, within a type (Sec. 4.2's hierarchy)
    size_pull: float = 0.0  # … and over sizes
    cue_head: float = 0.0  # weight of predicting type, place and size beside the embedding
    place_input: bool = False  # the head is told place and size
    seeds_learn: bool = False  # the seeds, with their true types, join the pool
    optimiser: Literal["sgd", "adam"] = "sgd"
    learning_rate: float = 0.002
    weight_decay: float = 5e-4
    steps: int = 600
    dropout: float = 0.0
    jitter: float = 0.0  # standard deviation of noise on the place that the head is told
    fc_width: int = 128


PAPER = Method("Eq. 3, sequences A–E (the faithful recipe)")
_ADAM = replace(PAPER, optimiser="adam", learning_rate=5e-4, weight_decay=0.01)
_CONTRASTIVE = replace(_ADAM, objective="contrastive")
_RATIOS = replace(_CONTRASTIVE, place_pull=0.5, size_pull=0.25)
METHODS: dict[str, Method] = {
    "paper": PAPER,
    "paper-seeds": replace(PAPER, label="Eq. 3, seeds learn too", seeds_learn=True),
    "paper-told": replace(PAPER, label="Eq. 3, told place and size", place_input=True, jitter=0.01),
    "supcon": replace(_CONTRASTIVE, label="supervised contrastive"),
    "multi-similarity": replace(_ADAM, label="multi-similarity", objective="multi-similarity"),
    "proxy-anchor": replace(_ADAM, label="proxy anchor", objective="proxy-anchor"),
    "supcon-cues": replace(_CONTRASTIVE, label="supervised contrastive + cue head", cue_head=0.3),
    "ratios": replace(_RATIOS, label="supervised contrastive + log ratios"),
    "ratios-told": replace(
        _RATIOS, label="the same, told place and size", place_input=True, jitter=0.01, dropout=0.2
    ),
}
