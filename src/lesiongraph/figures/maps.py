"""Maps of many lesions: t-SNE with samples (Fig. 5), sizes (Fig. 10), the body atlas (Fig. 11)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from openTSNE import TSNE
from sklearn.cluster import KMeans

from lesiongraph.figures.theme import in_house_style, new_canvas, new_figure, place, type_colour, write_at
from lesiongraph.figures.tiles import CAPTION_IN, Tile, draw_tile
from lesiongraph.lesion import LESION_TYPES

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SMALL_TILE_IN = 0.98
_SAMPLES_SIDE_BY_SIDE = 2
_MEMBERS = 3  # Fig. 5: three random lesions of a cluster


def tsne_positions(vectors: np.ndarray, rng_seed: int = 0) -> np.ndarray:
    """Return the Barnes-Hut t-SNE map (N, 2) of vectors (N, D) (Fig. 5; van der Maaten 2014)."""
    perplexity = max(2.0, min(30.0, (len(vectors) - 1) / 4))
    embedding = TSNE(
        perplexity=perplexity, negative_gradient_method="bh", n_jobs=1, random_state=rng_seed
    ).fit(vectors.astype(np.float64))
    return np.asarray(embedding)


def sample_clusters(vectors: np.ndarray, clusters: int, shown: int, rng_seed: int = 0) -> list[np.ndarray]:
    """Return rows of three random members of the largest K-means clusters (Fig. 5).

    Where there are fewer than four lesions a cluster, fewer clusters are made.
    """
    count = min(clusters, max(1, len(vectors) // 4))
    labels = KMeans(count, n_init=1, random_state=rng_seed).fit_predict(vectors)
    rng = np.random.default_rng(rng_seed)
    largest = np.argsort(-np.bincount(labels, minlength=count), kind="stable")[:shown]
    members = [np.flatnonzero(labels == label) for label in largest]
    return [rng.choice(rows, size=min(_MEMBERS, len(rows)), replace=False) for rows in members]


@in_house_style
def tsne_figure(
    positions: np.ndarray, types: Sequence[str], samples: Sequence[tuple[np.ndarray, Sequence[Tile]]]
) -> Figure:
    """Draw the map coloured by type, with three lesions of each sampled cluster beside it.

    Parameters
    ----------
    positions : (N, 2)
    types : (N,) str
    samples : sequence of (rows of the members (m,), their tiles)
    """
    rows = max(1, -(-len(samples) // _SAMPLES_SIDE_BY_SIDE))
    step = _SMALL_TILE_IN + CAPTION_IN + 0.08
    height = max(5.4, rows * step + 0.1)
    block = _MEMBERS * (_SMALL_TILE_IN + 0.05) + 0.32
    side = min(height - 0.5, 6.6)
    figure = new_canvas(side + 0.2 + (_SAMPLES_SIDE_BY_SIDE * block if samples else 0), height)
    axes = place(figure, 0.08, 0.45, side, side)
    _scatter_types(axes, positions, types)
    _type_legend(axes, types, loc="lower left", bbox_to_anchor=(0, 1.0), ncol=5)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(True)
    for number, (members, tiles) in enumerate(samples):
        _letter(axes, positions[members], _LETTERS[number % len(_LETTERS)])
        left = side + 0.3 + (number % _SAMPLES_SIDE_BY_SIDE) * block
        top = 0.05 + (number // _SAMPLES_SIDE_BY_SIDE) * step
        write_at(figure, left, top, _LETTERS[number % len(_LETTERS)], va="top", fontweight="bold", fontsize=9)
        for i, tile in enumerate(tiles):
            small = place(
                figure, left + 0.18 + i * (_SMALL_TILE_IN + 0.05), top, _SMALL_TILE_IN, _SMALL_TILE_IN
            )
            draw_tile(small, tile)
    return figure


@in_house_style
def atlas_figure(
    locations: np.ndarray, types: Sequence[str], regions: Sequence[tuple[str, float, float]] = ()
) -> Figure:
    """Draw x against z as from the front (Fig. 11), and y against z as from the patient's right side.

    Parameters
    ----------
    locations : (N, 3)
        x, y, z in 0–1.
    types : (N,) str
    regions : sequence of (name, z_from, z_to)
        Drawn as bands with their names.
    """
    # a trunk is about 40 cm wide, 25 cm deep and, from the neck to the thigh, 90 cm long
    figure = new_canvas(7.2, 7.0)
    panels = (
        (0, 0.75, 2.8, "from the front\nx: patient's right (0) to left (1)"),
        (1, 4.25, 1.75, "from the side\ny: front (0) to back (1)"),
    )
    for column, left, width, name in panels:
        axes = place(figure, left, 0.1, width, 6.3)
        _scatter_types(axes, locations[:, [column, 2]], types)
        for number, (region, z_from, z_to) in enumerate(regions):
            shade = 0.05 if number % 2 else 0.0
            axes.axhspan(z_from, z_to, color="#000000", alpha=shade, linewidth=0, zorder=0)
            if column == 0:
                axes.text(0.015, (z_from + z_to) / 2, region, fontsize=7.5, color="#555555", va="center")
        axes.set_xlim(0, 1)
        axes.set_ylim(1, 0)
        axes.set_xticks([0, 0.5, 1])
        axes.set_yticks(np.arange(0, 1.01, 0.1))
        axes.grid(alpha=0.2, linewidth=0.5)
        axes.set_axisbelow(True)
        axes.set_xlabel(name)
        if column == 0:
            axes.set_ylabel("z: head (0) to feet (1)")
        else:
            _type_legend(axes, types, loc="upper left", bbox_to_anchor=(1.02, 1.0))
    return figure


@in_house_style
def size_figure(long_mm: np.ndarray, short_mm: np.ndarray) -> Figure:
    """Draw histograms of both diameters; the last bin holds all larger ones (Fig. 10)."""
    figure = new_figure(8.4, 2.9)
    for axes, values, name, top in zip(
        figure.subplots(1, 2), (long_mm, short_mm), ("long axis", "short axis"), (100, 60), strict=True
    ):
        known = values[np.isfinite(values)]
        axes.hist(np.minimum(known, top), bins=np.linspace(0, top, 41), color="#0072B2")
        summary = "none known"
        if len(known):
            low, median, high = np.quantile(known, (0.1, 0.5, 0.9))
            summary = f"median {median:.1f} mm, 10–90 % {low:.1f}–{high:.1f} mm"
            axes.axvline(median, color="#D55E00", linewidth=1)
        axes.set_title(f"{name} (n = {len(known)})\n{summary}", loc="left", linespacing=1.3)
        larger = int((known > top).sum())
        axes.set_xlabel(f"mm (last bin: {larger} above {top})" if larger else "mm")
        axes.set_ylabel("lesions")
    return figure


def _letter(axes: Axes, points: np.ndarray, letter: str) -> None:
    """Write a cluster's letter at the sampled member nearest to the middle of all sampled members."""
    middle = np.median(points, axis=0)
    x, y = points[np.argmin(((points - middle) ** 2).sum(axis=1))]
    axes.text(
        x, y, letter, fontsize=8.5, fontweight="bold", ha="center", va="center", gid="letter",
        bbox={"boxstyle": "circle,pad=0.18", "fc": "white", "ec": "black", "lw": 0.8, "alpha": 0.85},
    )  # fmt: skip


def _shown_types(types: Sequence[str]) -> list[str]:
    present = set(types)
    return [name for name in ("", *LESION_TYPES) if name in present]


def _scatter_types(axes: Axes, points: np.ndarray, types: Sequence[str]) -> None:
    names = np.asarray(types)
    size = float(np.clip(8000 / max(len(points), 1), 5, 28))
    for name in _shown_types(types):
        x, y = points[names == name].T
        axes.scatter(x, y, s=size, c=type_colour(name), linewidths=0, alpha=0.85, label=name or "no type")


def _type_legend(axes: Axes, types: Sequence[str], **where: Any) -> None:
    handles = [
        Line2D([], [], marker="o", linestyle="", color=type_colour(name), label=name or "no type")
        for name in _shown_types(types)
    ]
    axes.legend(
        handles=handles, borderaxespad=0.2, handletextpad=0.1, columnspacing=0.9, markerscale=0.9,
        **where,
    )  # fmt: skip
