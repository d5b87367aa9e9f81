"""Figures of merit: the confusion matrix (Fig. 7), precision–recall curves (Fig. 8), the training loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from lesiongraph.figures.theme import in_house_style, new_figure

_CURVE_COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_CURVE_STYLES = ("-", "--", ":")  # once round the colours each


@in_house_style
def confusion_figure(table: np.ndarray, labels: Sequence[str]) -> Figure:
    """Draw a confusion matrix (true types in rows) in percent of each row, with counts (Fig. 7)."""
    figure = new_figure(6.0, 5.2)
    axes = figure.subplots()
    totals = table.sum(axis=1, keepdims=True)
    share = np.divide(table, totals, out=np.zeros(table.shape), where=totals > 0)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (i, j), count in np.ndenumerate(table):
        if count:
            colour = "white" if share[i, j] > 0.55 else "black"
            text = f"{100 * share[i, j]:.0f} %\n({count})"
            axes.text(j, i, text, ha="center", va="center", fontsize=7, color=colour)
    axes.set_xticks(range(len(labels)), labels, rotation=40, ha="right")
    axes.set_yticks(
        range(len(labels)), [f"{name} ({n})" for name, n in zip(labels, totals[:, 0], strict=True)]
    )
    axes.set_xticks(np.arange(len(labels) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(labels) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1)
    axes.tick_params(which="minor", length=0)
    axes.set_xlabel("predicted type")
    axes.set_ylabel("true type (lesions)")
    return figure


@in_house_style
def curve_figure(curves: Mapping[str, tuple[np.ndarray, np.ndarray, float]]) -> Figure:
    """Draw precision–recall curves of matching: name → (precision, recall, area) (Fig. 8)."""
    figure = new_figure(6.0, 4.4)
    axes = figure.subplots()
    for number, (name, (precision, recall, area)) in enumerate(curves.items()):
        turn, place = divmod(number, len(_CURVE_COLOURS))
        known = np.isfinite(precision)
        # level from recall 0 to the first point, as the area counts it
        y = np.asarray(precision)[known]
        x, y = np.append(np.zeros(len(y[:1])), np.asarray(recall)[known]), np.append(y[:1], y)
        axes.plot(
            x, y, label=f"{name} (area {area:.3f})", linewidth=1.6,
            color=_CURVE_COLOURS[place], linestyle=_CURVE_STYLES[turn % len(_CURVE_STYLES)],
        )  # fmt: skip
    axes.set_xlim(0, 1.01)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("recall: share of true pairs that were found")
    axes.set_ylabel("precision: share of found pairs that are true")
    axes.legend(loc="lower left")
    axes.grid(alpha=0.25)
    return figure


@in_house_style
def loss_figure(history: np.ndarray, refinement_from: int) -> Figure:
    """Draw the training loss of every step and its running mean; the refinement starts at a line."""
    figure = new_figure(6.4, 2.4)
    axes = figure.subplots()
    axes.plot(history, color="#C4C4C4", linewidth=0.5, label="each step")
    width = max(1, len(history) // 40)
    if len(history) >= width:
        mean = np.convolve(history, np.ones(width) / width, mode="valid")
        steps = np.arange(len(mean)) + width // 2
        axes.plot(steps, mean, color="#D55E00", linewidth=1.3, label=f"mean of {width} steps")
    if 0 < refinement_from < len(history):
        axes.axvline(refinement_from, color="black", linewidth=0.8, linestyle=":")
        axes.annotate(
            " refinement", (refinement_from, 1), xycoords=("data", "axes fraction"), fontsize=7, va="top"
        )
    axes.set_ylim(bottom=0)
    axes.set_xlabel("step")
    axes.set_ylabel("loss (Eq. 3)")
    axes.legend(loc="upper right", ncol=2)
    return figure
