"""The nine rows of Table 1 as configurations: what each changes in the recipe, and nothing else (ADR 10)."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field

from lesiongraph.errors import UsageError
from lesiongraph.recipe import EmbeddingRecipe, Recipe, override

OWN_NUMBERS = ("cues", "maps")  # the rows differ in these: `--set` may not


@dataclass(frozen=True)
class TableRow:
    """One row: a feature that needs no training, or the triplet network with some numbers changed."""

    name: str  # as `--rows` takes it
    title: str  # as the table says it
    part: str  # baselines | cues | ablations: the three parts of Table 1
    feature: str = "embedding"  # embedding | initial | location, as `evaluate --feature` has them
    changes: dict[str, str] = field(default_factory=dict, hash=False)  # as `--set`

    @property
    def trained(self) -> bool:
        """Whether random seeds make a difference."""
        return self.feature == "embedding"

    @property
    def slug(self) -> str:
        """The name as part of a stage's name."""
        return re.sub(r"[^a-z0-9]+", "_", self.name)

    def recipe(self, base: Recipe) -> EmbeddingRecipe:
        """Return the base's training with this row's changes."""
        return override(base, {f"embedding.{key}": value for key, value in self.changes.items()}).embedding


ALL_CUES = "all"
ROWS = (
    TableRow("imagenet", "Multi-scale ImageNet feature", "baselines", feature="initial"),
    TableRow("location-feature", "Location feature", "baselines", feature="location"),
    TableRow("type", "Triplet with type", "cues", changes={"cues": "type"}),
    TableRow("location", "Triplet with location", "cues", changes={"cues": "location"}),
    TableRow("type+location", "Triplet with type + location", "cues", changes={"cues": "type,location"}),
    TableRow(ALL_CUES, "Triplet with type + location + size", "cues"),
    TableRow("conv5", "All cues, conv5 only", "ablations", changes={"maps": "conv5"}),
    TableRow("conv5+conv4", "All cues, conv5 + conv4", "ablations", changes={"maps": "conv4,conv5"}),
    TableRow(
        "no-refinement", "All cues, without iterative refinement", "ablations", changes={"refinements": "0"}
    ),
)


def chosen_rows(names: list[str] | None) -> tuple[TableRow, ...]:
    """Return the rows of these names in the table's order; all of them if none are given.

    Raises
    ------
    UsageError
        If a name is unknown.
    """
    known = {row.name: row for row in ROWS}
    strange = sorted(set(names or []) - set(known))
    if strange:
        raise UsageError(f"--rows {','.join(strange)}: expected some of {','.join(known)}.")
    return tuple(row for row in ROWS if not names or row.name in names)


def check_base(base: Recipe) -> None:
    """Refuse a recipe whose own cues or maps would make the rows others than the table's.

    Raises
    ------
    UsageError
        If cues or maps are not the default, or there is no refinement to leave out.
    """
    default = {f.name: f.default for f in dataclasses.fields(EmbeddingRecipe)}
    for name in OWN_NUMBERS:
        if getattr(base.embedding, name) != default[name]:
            raise UsageError(f"--set {name}: the rows of the table differ in it. Choose rows with --rows.")
    if not base.embedding.refinements:
        raise UsageError("--set refinements=0: that is the row no-refinement. Choose it with --rows.")
