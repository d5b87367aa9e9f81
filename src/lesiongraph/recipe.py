"""Every number of the paper, once, each with its section; presets override it.

A `Recipe` is frozen; `recipe("fast")` gives a preset, `override(recipe, {"steps": "500"})` a changed copy.
Source: Yan et al., CVPR 2018 (section numbers below); what the paper leaves silent is marked "ours" or
"authors' code".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lesiongraph.errors import UsageError

CUES = ("type", "location", "size")  # Sec. 4.2, from the highest in the hierarchy to the lowest
MAPS = ("conv2", "conv3", "conv4", "conv5")  # Fig. 4: conv2_2, conv3_3, conv4_3, conv5_3
LABELLERS = ("svm", "balanced")
STARTS = ("fresh", "packaged")


def _check_subset(name: str, given: Sequence[str], known: Sequence[Any]) -> None:
    """Refuse names that are unknown or doubled, and none at all."""
    if not given or set(given) - set(known) or len(set(given)) != len(given):
        raise UsageError(f"{name}: expected some of {','.join(known)}, got {','.join(given) or 'none'}.")


@dataclass(frozen=True)
class ImagingRecipe:
    """How a lesion becomes a patch (Sec. 3)."""

    box_padding_px: float = 5.0  # Sec. 3: "5-pixel padding in each direction"
    patch_padding_mm: float = 50.0  # Sec. 3: "50 mm padding around its bounding box"
    patch_spacing_mm: float = 1.0  # Sec. 3: "spacing is 1 mm/pixel"
    context_slices: int = 3  # Sec. 3: "3 neighboring slices"
    context_interval_mm: float = 2.0  # Sec. 3: "2 mm slice intervals"
    patch_max_px: int = 200  # authors' code: larger patches are scaled down
    window_low_hu: float = -1024.0  # authors' code: one window for lung, soft tissue and bone
    window_high_hu: float = 3071.0  # the 12-bit range


@dataclass(frozen=True)
class SsbrRecipe:
    """The self-supervised body part regressor (Sec. 4.1, 8.2)."""

    slice_size_px: int = 128  # Sec. 8.2
    slices_per_volume: int = 8  # Sec. 8.2: m in Eq. 2
    volumes_per_batch: int = 32  # Sec. 8.2: 256 slices a batch
    learning_rate: float = 0.002  # Sec. 8.2
    steps: int = 1500  # Sec. 8.2
    momentum: float = 0.9  # authors' code
    weight_decay: float = 5e-4  # authors' code
    window_low_hu: float = -175.0  # authors' code
    window_high_hu: float = 275.0  # authors' code
    crop_min_fraction: float = 1 / 3  # authors' code: random crops keep this share of the intensity


@dataclass(frozen=True)
class EmbeddingRecipe:
    """Sequences, loss, network and training (Sec. 4.2, 4.3, 6.1)."""

    trunk: str = "vgg16"  # Sec. 4.3; ours: compact, narrow, FILE.pt2 or module:function (docs/trunks.md)
    pool: str = "roi_pool"  # Sec. 4.3; roi_align on request
    train_trunk: bool = True  # Sec. 4.3: the whole network is trained
    cues: tuple[str, ...] = CUES  # Table 1, middle part: which cues the sequences are made of (ADR 10)
    maps: tuple[str, ...] = MAPS  # Table 1, lower part: which pooled maps the head reads
    labeller: str = "svm"  # Sec. 4.3; "balanced" weighs rare types up (ours, ADR 8)
    abstain: float | None = None  # ours: wanted share of right pseudo-labels; None: label all (ADR 8)
    roi_size: int = 5  # Sec. 4.3: 5×5×num_channel
    fc_width: int = 256  # ours: the paper does not state the FC width of each scale (ADR 4)
    embedding_width: int = 1024  # Fig. 4, Fig. 5
    start: str = "fresh"  # ours: "packaged" goes on from the embedder inside the package (ADR 15)
    place_width: int = 0  # ours: FC width of place and size as a fifth scale (ADR 15)
    margins: tuple[float, float, float] = (0.1, 0.2, 0.4)  # Sec. 6.1: m1, m2, m3
    t_low: float = 0.02  # Sec. 6.1
    t_high: float = 0.1  # Sec. 6.1
    relax_sequences: bool = False  # ours: nearest instead of none where few lesions are within t_low
    sequences_per_batch: int = 24  # Sec. 6.1: S
    learning_rate: float = 0.002  # Sec. 6.1
    learning_rate_low: float = 0.0002  # Sec. 6.1: from `step_drop` on, and in refinement
    step_drop: int = 2000  # Sec. 6.1
    steps: int = 3000  # Sec. 6.1
    refinements: int = 1  # Sec. 6.1
    refinement_steps: int = 1000  # ours: the paper gives the learning rate only
    momentum: float = 0.9  # authors' code
    weight_decay: float = 5e-4  # authors' code

    def __post_init__(self) -> None:
        _check_subset("cues", self.cues, CUES)
        _check_subset("maps", self.maps, MAPS)
        if self.labeller not in LABELLERS:
            raise UsageError(f"labeller: expected one of {', '.join(LABELLERS)}, got {self.labeller!r}.")
        if self.start not in STARTS:
            raise UsageError(f"start: expected one of {', '.join(STARTS)}, got {self.start!r}.")
        if self.abstain is not None and not 0 < self.abstain <= 1:
            raise UsageError(f"abstain: expected a share above 0 and at most 1, got {self.abstain}.")

    @classmethod
    def from_stated(cls, stated: dict[str, Any]) -> EmbeddingRecipe:
        """Return the recipe a model file or a run report states; what an older one lacks has its default.

        Raises
        ------
        UsageError
            If it states a number that this version does not know.
        """
        known = {f.name for f in dataclasses.fields(cls)}
        strange = sorted(set(stated) - known)
        if strange:
            raise UsageError(f"A recipe with {', '.join(strange)}: a newer version of lesiongraph wrote it.")
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stated.items()}
        return cls(**values)


@dataclass(frozen=True)
class MatchingRecipe:
    """Algorithm 1 (Sec. 5.1, 6.1), and what stands beside it (ADR 7, 11)."""

    # ours (ADR 12); algorithm1 is Sec. 5.1 as printed; also mutual-nearest, optimal
    matcher: str = "exclusive"
    t1: float = 0.1  # Sec. 6.1: intra-study threshold
    # The paper varies T2 to draw Fig. 8. None: the median distance of a lesion to its nearest lesion of
    # another patient, which is never the same lesion (ours, ADR 6); `match` states the value it used.
    t2: float | None = None
    t2_alone: float = 0.5  # ours: in an archive of one patient
    # The other matchers' limits where no truth chooses them, ours (ADR 11): within two points of the best F1
    # on DLS's real pairs, in units of the cost of a typical true pair, the root of the number of its terms.
    merge_units: float = 0.75
    limit_units: float = 1.7
    # Appearance of a true pair, in units of the distance to the nearest lesion of another patient (ours).
    appearance_units: float = 0.75


@dataclass(frozen=True)
class EvaluationRecipe:
    """Table 1 (Sec. 6.2)."""

    k: int = 5  # Table 1: "top-5 retrieved lesions"
    clusters: int = 8  # Table 1
    kmeans_starts: int = 10  # ours
    tsne_clusters: int = 128  # Fig. 5


@dataclass(frozen=True)
class Recipe:
    """All numbers of one run."""

    name: str = "paper"
    imaging: ImagingRecipe = field(default_factory=ImagingRecipe)
    ssbr: SsbrRecipe = field(default_factory=SsbrRecipe)
    embedding: EmbeddingRecipe = field(default_factory=EmbeddingRecipe)
    matching: MatchingRecipe = field(default_factory=MatchingRecipe)
    evaluation: EvaluationRecipe = field(default_factory=EvaluationRecipe)


PAPER = Recipe()
# `fast`: VGG-16 as in the paper, its trunk frozen, its pooled maps cached; only FC layers learn.
FAST = dataclasses.replace(
    PAPER, name="fast", embedding=dataclasses.replace(PAPER.embedding, train_trunk=False)
)
# `demo`: the narrow trunk that ships with the package, frozen; minutes become seconds.
DEMO = dataclasses.replace(
    PAPER,
    name="demo",
    embedding=dataclasses.replace(
        PAPER.embedding,
        trunk="narrow",
        train_trunk=False,
        relax_sequences=True,
        fc_width=128,
        steps=600,
        step_drop=450,
        refinement_steps=150,
    ),
)
# `improved` (ours, ADR 15): goes on from the embedder inside the package, which is told place and size.
IMPROVED = dataclasses.replace(
    PAPER,
    name="improved",
    embedding=dataclasses.replace(
        PAPER.embedding,
        trunk="lesion",
        train_trunk=False,
        start="packaged",
        fc_width=256,
        place_width=256,
        relax_sequences=True,
        steps=300,
        step_drop=200,
        refinement_steps=100,
    ),
)
PRESETS = {preset.name: preset for preset in (PAPER, FAST, DEMO, IMPROVED)}


def preset(name: str) -> Recipe:
    """Return the preset of that name.

    Raises
    ------
    UsageError
        If there is no such preset.
    """
    try:
        return PRESETS[name]
    except KeyError:
        raise UsageError(f"Unknown preset {name!r}; expected one of {', '.join(PRESETS)}.") from None


def override(base: Recipe, changes: dict[str, str]) -> Recipe:
    """Return `base` with `changes` applied; a key is `section.field`, or `field` if unique.

    Parameters
    ----------
    base : Recipe
    changes : dict of str to str
        As given on the command line (`--set key=value`).

    Raises
    ------
    UsageError
        If a key is unknown or ambiguous, or a value cannot be read as the field's type.
    """
    changed = base
    for key, text in changes.items():
        section, name = _find_field(changed, key)
        part = getattr(changed, section)
        value = _parse(text, getattr(part, name), key)
        changed = dataclasses.replace(changed, **{section: dataclasses.replace(part, **{name: value})})
    return changed


def _find_field(recipe: Recipe, key: str) -> tuple[str, str]:
    sections = {f.name: getattr(recipe, f.name) for f in dataclasses.fields(recipe) if f.name != "name"}
    wanted_section, _, wanted = key.rpartition(".")
    hits = [
        (section, f.name)
        for section, part in sections.items()
        for f in dataclasses.fields(part)
        if f.name == wanted and wanted_section in ("", section)
    ]
    if len(hits) != 1:
        found = "no such number" if not hits else "in " + ", ".join(s for s, _ in hits)
        raise UsageError(f"--set {key}: {found}. Write it as section.field, as in recipe.py.")
    return hits[0]


def _parse(text: str, old: object, key: str) -> object:
    try:
        if isinstance(old, bool):
            return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[
                text.lower()
            ]
        if old is None:  # a number that is chosen from the data unless it is set
            return float(text)
        if isinstance(old, tuple) and isinstance(old[0], str):  # some of the names, in their order
            given = text.split(",")
            known = CUES if old[0] in CUES else MAPS
            _check_subset(key, given, known)
            return tuple(one for one in known if one in given)
        if isinstance(old, tuple):
            values = tuple(float(part) for part in text.split(","))
            if len(values) != len(old):
                raise ValueError
            return values
        return type(old)(text)  # type: ignore[call-arg]
    except (ValueError, KeyError):
        raise UsageError(
            f"--set {key}={text}: expected a value like {old!r} ({type(old).__name__})."
        ) from None
