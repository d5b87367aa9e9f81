"""The ways to learn an embedding that are compared, one row each; the first is the paper's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from objectives.mining import Mining
from objectives.views import BOXES, LEVELS, MIRROR, NEIGHBOURS, PLAIN, Sight, View


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
    mining: Mining = "random"  # how the members of a sequence are chosen
    sure_share: float = 1.0  # of each type's pseudo-labels, the surest first, that are learned from
    sight: Sight = Sight()  # noqa: RUF009 - frozen
    looks: tuple[View, ...] = (PLAIN,)  # at test time: the mean over them is the embedding
    start: Literal["fresh", "packaged"] = "fresh"  # the head's; packaged has the packaged embedder's widths

    @property
    def training(self) -> Method:
        """What is equal for methods that one training serves: they look at lesions differently afterwards."""
        return replace(self, label="", looks=())


JITTER = (PLAIN, *BOXES, *MIRROR, *LEVELS, *NEIGHBOURS)
PAPER = Method("Eq. 3, sequences A–E (the faithful recipe)")
_TOLD = replace(PAPER, label="Eq. 3, told place and size", place_input=True, jitter=0.01)
_ADAM = replace(PAPER, optimiser="adam", learning_rate=5e-4, weight_decay=0.01)
_CONTRASTIVE = replace(_ADAM, objective="contrastive")
_RATIOS = replace(_CONTRASTIVE, place_pull=0.5, size_pull=0.25)
_MINED = {
    "semi-hard": replace(PAPER, label="semi-hard", mining="semi-hard"),
    "trimmed": replace(PAPER, label="hard but for the hardest tenth", mining="trimmed"),
    "sure": replace(PAPER, label="the surest two thirds of labels", sure_share=2 / 3),
    "sure-trimmed": replace(
        PAPER, label="the surest two thirds, hard but for the hardest tenth", sure_share=2 / 3,
        mining="trimmed",
    ),
    "told-semi-hard": replace(_TOLD, label="told, semi-hard", mining="semi-hard"),
}  # fmt: skip
_JITTERED = {
    "boxes": replace(PAPER, label="mean over six more boxes", looks=(PLAIN, *BOXES)),
    "mirror": replace(PAPER, label="mean with the mirrored patch", looks=(PLAIN, *MIRROR)),
    "levels": replace(PAPER, label="mean over two more levels, ± 30 HU", looks=(PLAIN, *LEVELS)),
    "neighbours": replace(PAPER, label="mean with the triplets 2 mm off", looks=(PLAIN, *NEIGHBOURS)),
    "jitter": replace(PAPER, label="mean over all of these", looks=JITTER),
    "told-mirror": replace(_TOLD, label="told, mean with the mirrored patch", looks=(PLAIN, *MIRROR)),
    "told-jitter": replace(_TOLD, label="told, mean over all of these", looks=JITTER),
}
_FIVE = Sight(triplets=(View(offset=-1), PLAIN, View(offset=1)))
_NINE = Sight(triplets=(View(offset=-3), PLAIN, View(offset=3)))
_WIDE = Sight(triplets=(View(stride=2),))
_SLICES = {
    "wide": replace(PAPER, label="three slices 4 mm apart", sight=_WIDE),
    "five": replace(PAPER, label="five slices, mean of three triplets", sight=_FIVE),
    "nine": replace(PAPER, label="nine slices, mean of three triplets", sight=_NINE),
    "nine-joined": replace(
        PAPER, label="nine slices, three triplets side by side", sight=replace(_NINE, joined="concatenated")
    ),
    "told-nine": replace(_TOLD, label="told, nine slices, mean", sight=_NINE),
}
_PACKAGED = replace(
    _TOLD, label="packaged embedder", start="packaged", sight=Sight(trunk="lesion"), fc_width=256
)
_STARTS = {
    "compact": replace(PAPER, label="compact trunk", sight=Sight(trunk="compact")),
    "lesion": replace(PAPER, label="the packaged embedder's trunk", sight=Sight(trunk="lesion")),
    "told-compact": replace(_TOLD, label="told, compact trunk", sight=Sight(trunk="compact")),
    "told-lesion": replace(_TOLD, label="told, the packaged embedder's trunk", sight=Sight(trunk="lesion")),
    "packaged": replace(_PACKAGED, label="packaged embedder, no training", steps=0),
    "packaged-mirror": replace(
        _PACKAGED, label="packaged embedder, mean with the mirrored patch", steps=0, looks=(PLAIN, *MIRROR)
    ),
    "packaged-jitter": replace(
        _PACKAGED, label="packaged embedder, mean over all of these", steps=0, looks=JITTER
    ),
    "packaged-start": replace(_PACKAGED, label="told, start from the packaged embedder's head"),
}
METHODS: dict[str, Method] = {
    "paper": PAPER,
    "paper-seeds": replace(PAPER, label="Eq. 3, seeds learn too", seeds_learn=True),
    "paper-told": _TOLD,
    **_MINED,
    **_JITTERED,
    **_SLICES,
    **_STARTS,
    "supcon": replace(_CONTRASTIVE, label="supervised contrastive"),
    "multi-similarity": replace(_ADAM, label="multi-similarity", objective="multi-similarity"),
    "proxy-anchor": replace(_ADAM, label="proxy anchor", objective="proxy-anchor"),
    "supcon-cues": replace(_CONTRASTIVE, label="supervised contrastive + cue head", cue_head=0.3),
    "ratios": replace(_RATIOS, label="supervised contrastive + log ratios"),
    "ratios-told": replace(
        _RATIOS, label="the same, told place and size", place_input=True, jitter=0.01, dropout=0.2
    ),
}
