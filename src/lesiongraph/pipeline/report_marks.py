"""Report sections that show marks on their slices: kept ones, rejected ones, one with its location."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd

from lesiongraph.errors import LesionGraphError
from lesiongraph.figures import MarkOnSlice, Picture, Section, Table, located_figure, marks_figure
from lesiongraph.imaging import body_mask
from lesiongraph.lesion import REJECTED, BoundingBox
from lesiongraph.mining import rules
from lesiongraph.pipeline.pixel_size import plane_spacing
from lesiongraph.pipeline.report_context import ReportContext

_MARKS_A_SOURCE = 9
_MARKS_IN_ALL = 36  # of a large catalogue: keeps the page small
_ALL_UP_TO = 80  # a small catalogue is shown whole
_REJECTED_A_REASON = 3
_REJECTED_A_RULE = 6
_REASONS = 60
_UNRULED = "image or object not found or unreadable, or no pair of axes"
_REJECTED_ROWS = 200
_LEGEND = (
    "Left the whole slice, right the mark close up with a ruler in mm: long axis red, short axis yellow, "
    "bounding box (padded by 5 px) green."
)


def marks_on_slices(context: ReportContext) -> Section:
    """Some marks of each source on their slices, as the radiologist drew them."""
    section = Section(
        "",
        "Each mark on the slice it was drawn on, the patient's right on the left. A box beside the lesion "
        "would mean that coordinates were misread; a line that disagrees with the ruler, that the spacing "
        "was.",
    )
    kept = context.kept[context.kept.slice_index >= 0]
    if not len(kept):
        section.missing = "no kept mark has an image"
    count = int(np.clip(_MARKS_IN_ALL // max(kept.source.nunique(), 1), 3, _MARKS_A_SOURCE))
    if len(kept) <= _ALL_UP_TO:
        count = len(kept)
    failures: Counter[str] = Counter()
    for source, rows in kept.groupby("source"):
        chosen = _spread_over_types(rows, count, context.rng_seed)
        marks = _drawable(context, chosen, failures)
        if marks:
            alt = f"{len(marks)} CT slices, each with a lesion's two axes and its bounding box"
            caption = f"{source}: {len(marks)} of {len(rows)} marks. {_LEGEND}"
            section.figures.append(Picture(caption, marks_figure(marks), alt))
    if failures:
        section.missing = "; ".join(f"{count} × {cause}" for cause, count in failures.items())
    return section


def rejected_marks(context: ReportContext) -> Section:
    """The rules with their counts, examples of each on their slices, reasons and rows: a person can judge."""
    lesions = context.catalogue.lesions
    rejected = lesions[lesions.status == REJECTED]
    facts = [("kept", str(int((lesions.status != REJECTED).sum()))), ("rejected", str(len(rejected)))]
    by_hand = _carries(lesions["flags"], rules.ACCEPTED_BY_HAND)
    if by_hand.any():
        facts.append(("accepted by hand", str(int(by_hand.sum()))))
    section = Section("", "No mark was rejected.", facts=facts, tables=[_rule_table(lesions), _why_table()])
    if not len(rejected):
        return section
    reasons = (
        rejected.assign(
            image=rejected.slice_index >= 0,
            # each names another mark: the rows say which
            reason=rejected.reason.mask(rejected.reason.map(rules.DUPLICATE.rejected), rules.DUPLICATE.name),
        )
        .groupby(["source", "reason"]).agg(marks=("lesion_id", "size"), with_image=("image", "sum"))
        .reset_index().sort_values("marks", ascending=False)
        .rename(columns={"with_image": "of these with an image"})
    )  # fmt: skip
    columns = ["lesion_id", "patient_id", "study_date", "source", "source_item", "reason"]
    section.text = (
        "Rejected marks stay in the catalogue with their reason and take part in nothing; a person may "
        "accept one by hand. Where a mark's slice is known, examples show what was drawn, to judge the rule."
    )
    section.tables += [
        Table(f"Reasons ({min(_REASONS, len(reasons))} of {len(reasons)})", reasons.head(_REASONS)),
        Table(
            f"Rows ({min(_REJECTED_ROWS, len(rejected))} of {len(rejected)})",
            rejected[columns].head(_REJECTED_ROWS), folded=True,
        ),
    ]  # fmt: skip
    _show_rejected(context, rejected, section)
    return section


def _rule_table(lesions: pd.DataFrame) -> Table:
    """Return how often each rule rejects or remarks, and from which limit on; the last row has no rule."""
    rejected = lesions.status == REJECTED
    rows = [
        {
            "rule": rule.name,
            "rejected": int((rejected & lesions.reason.map(rule.rejected)).sum()),
            "remarked on": int((~rejected & _carries(lesions["flags"], *rule.flags)).sum()),
            "when": "; ".join(rule.limits),
        }
        for rule in rules.RULES
    ]
    unruled = rejected & lesions.reason.map(lambda reason: rules.rule_of(reason) is None)
    rows.append({"rule": "none", "rejected": int(unruled.sum()), "remarked on": 0, "when": _UNRULED})
    caption = "Rules: how many marks each rejects, and how many it lets stand with a remark"
    return Table(caption, pd.DataFrame(rows))


def _why_table() -> Table:
    rows = [{"rule": rule.name, "why": rule.explanation} for rule in rules.RULES]
    return Table("Why each rule", pd.DataFrame(rows), folded=True)


def _carries(flags: pd.Series[str], *wanted: str) -> pd.Series[bool]:
    return flags.map(lambda own: any(flag in own.split(";") for flag in wanted)).astype(bool)


def _show_rejected(context: ReportContext, rejected: pd.DataFrame, section: Section) -> None:
    """Add a figure for each rule with examples, where the slice and a coordinate are known."""
    drawn = rejected[["x0", "long_x0"]].notna().any(axis=1) & (rejected.slice_index >= 0)
    failures: Counter[str] = Counter()
    judged = rejected[drawn].assign(_rule=rejected.reason.map(_rule_name)).sort_values(["_rule", "lesion_id"])
    for name, rows in judged.groupby("_rule"):
        chosen = rows.groupby(["source", "reason"]).head(_REJECTED_A_REASON).head(_REJECTED_A_RULE)
        marks = _drawable(context, chosen, failures, show_reason=True)
        if marks:
            why = next((rule.explanation for rule in rules.RULES if rule.name == name), "")
            caption = f"Rejected, {name}: {len(marks)} of {len(rows)}. {why}"
            if not section.figures:
                caption = f"{caption} {_LEGEND}"
            alt = f"{len(marks)} CT slices, each with a mark rejected by the rule: {name}"
            section.figures.append(Picture(caption, marks_figure(marks), alt))
    causes = [f"{count} × {cause}" for cause, count in failures.items()]
    if not drawn.all():
        causes.insert(0, f"{(~drawn).sum()} of {len(rejected)} marks have no image or no coordinates")
    section.missing = "; ".join(causes)


def _rule_name(reason: str) -> str:
    rule = rules.rule_of(reason)
    return rule.name if rule is not None else "no rule"


def located_lesion(context: ReportContext) -> Section:
    """One lesion with its relative location drawn in."""
    kept = context.kept
    located = kept[(kept.slice_index >= 0) & kept[["x", "y", "z"]].notna().all(axis=1)]
    if not len(located):
        return Section("", "", missing="no located lesion with an image (run `lesiongraph locate`)")
    trusted = located[located.z_flag == ""]
    located = trusted if len(trusted) else located
    wanted_mm = 1.5 * located.long_mm.median()
    row = located.iloc[int(np.argmin(np.abs(located.long_mm.to_numpy() - wanted_mm)))]
    mark = context.mark_on_slice(row, _subtitle(row))
    body = body_mask(mark.hu, plane_spacing(context.series_row(row.series_instance_uid).to_dict())).mask
    ys, xs = np.flatnonzero(body.any(axis=1)), np.flatnonzero(body.any(axis=0))
    if not len(ys):
        return Section("", "", missing=f"no body was found on the slice of {row.lesion_id}")
    extent = BoundingBox(xs[0], ys[0], xs[-1], ys[-1])
    alt = f"CT slice; the lesion's centre lies at x {row.x:.2f}, y {row.y:.2f}, z {row.z:.2f} of the body"
    return Section(
        "",
        "x and y are the centre of the lesion's box relative to the body's bounding box (dotted); z comes "
        f"from the body part regressor ({row.z_model}): 0 at the head, 1 at the feet.",
        figures=[
            Picture(f"Lesion {row.lesion_id}", located_figure(mark, extent, (row.x, row.y, row.z)), alt)
        ],
    )


def _drawable(
    context: ReportContext, rows: pd.DataFrame, failures: Counter[str], *, show_reason: bool = False
) -> list[MarkOnSlice]:
    """Return the marks whose slice can be read; count why the others cannot."""
    marks = []
    for _, row in rows.iterrows():
        try:
            marks.append(context.mark_on_slice(row, _subtitle(row, show_reason=show_reason)))
        except LesionGraphError as error:
            failures[str(error)] += 1
    return marks


def _subtitle(row: pd.Series, *, show_reason: bool = False) -> str:
    """Two or three short lines: whose mark, what it measures, why rejected or flagged."""
    lengths = " × ".join(f"{x:.1f}" for x in (row.long_mm, row.short_mm) if np.isfinite(x))
    first = f"{row.patient_id} · {row.source} · slice {row.slice_index}"
    second = f"{lengths + ' mm' if lengths else 'no length'} · {row.type or 'no type'}"
    third = f"rejected: {row.reason}" if show_reason else row["flags"].replace(";", ", ")
    return "\n".join([first, second, *([third[:90]] if third else [])])


def _spread_over_types(rows: pd.DataFrame, count: int, rng_seed: int) -> pd.DataFrame:
    """Draw lesions of as many types as there are, then fill up."""
    shuffled = rows.sample(frac=1, random_state=rng_seed)
    turn = shuffled.groupby("type").cumcount().to_numpy()
    return shuffled.iloc[np.argsort(turn, kind="stable")[:count]].sort_values("lesion_id")
