"""Maps of many lesions: t-SNE with samples (Fig. 5), sizes (Fig. 10), the body atlas (Fig. 11)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from openTSNE import TSNE
from sklearn.cluster import KMeans

from lesiongraph.figures.theme import Tile, draw_tile, new_figure, type_colour
from lesiongraph.lesion import LESION_TYPES

_MARKERS = "ABCDEFGHIJKL"


def tsne_positions(vectors: np.ndarray, rng_seed: int = 0) -> np.ndarray:
    """Return the Barnes-Hut t-SNE map (N, 2) of vectors (N, D) (Fig. 5; van der Maaten 2014)."""
    perplexity = max(2.0, min(30.0, (len(vectors) - 1) / 4))
    embedding = TSNE(
        perplexity=perplexity, negative_gradient_method="bh", n_jobs=1, random_state=rng_seed
    ).fit(vectors.astype(np.float64))
    return np.asarray(embedding)


def sample_clusters(vectors: np.ndarray, clusters: int, shown: int, rng_seed: int = 0) -> list[np.ndarray]:
    """Return rows of three random members of the largest K-means clusters (Fig. 5)."""
    count = min(clusters, max(1, len(vectors) // 4))
    labels = KMeans(count, n_init=3, random_state=rng_seed).fit_predict(vectors)
    rng = np.random.default_rng(rng_seed)
    largest = np.argsort(-np.bincount(labels, minlength=count), kind="stable")[:shown]
    members = [np.flatnonzero(labels == label) for label in largest]
    return [rng.choice(rows, size=min(3, len(rows)), replace=False) for rows in members]


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
    rows = -(-len(samples) // 2) if samples else 1
    figure = new_figure(11, max(5.2, rows * 0.95))
    grid = figure.add_gridspec(rows, 8, width_ratios=[6, *[1] * 7])
    axes = figure.add_subplot(grid[:, 0])
    _scatter_types(axes, positions, types)
    axes.set_xticks([])
    axes.set_yticks([])
    for number, (members, tiles) in enumerate(samples):
        x, y = np.median(positions[members], axis=0)
        axes.annotate(
            _MARKERS[number % len(_MARKERS)], (x, y), fontsize=10, fontweight="bold", ha="center",
            bbox={"boxstyle": "circle,pad=0.15", "fc": "white", "ec": "black", "alpha": 0.8},
        )  # fmt: skip
        row, half = number % rows, number // rows
        for i, tile in enumerate(tiles):
            small = figure.add_subplot(grid[row, 1 + half * 4 + i])
            draw_tile(small, tile)
            if i == 0:
                small.set_ylabel(_MARKERS[number % len(_MARKERS)], rotation=0, labelpad=8, fontweight="bold")
    return figure


def atlas_figure(locations: np.ndarray, types: Sequence[str]) -> Figure:
    """Draw x against z, as if looking at the body from the front (Fig. 11).

    Parameters
    ----------
    locations : (N, 3)
        x, y, z in 0–1.
    """
    figure = new_figure(5.2, 6.4)
    axes = figure.subplots()
    _scatter_types(axes, locations[:, [0, 2]], types)
    axes.set_xlim(-0.05, 1.05)
    axes.set_ylim(1.05, -0.05)
    axes.set_xlabel("x: patient's right (0) to left (1)")
    axes.set_ylabel("z: head (0) to feet (1)")
    return figure


def size_figure(long_mm: np.ndarray, short_mm: np.ndarray) -> Figure:
    """Draw histograms of both diameters; the last bin holds all larger ones (Fig. 10)."""
    figure = new_figure(7, 2.6)
    for axes, values, name, top in zip(
        figure.subplots(1, 2), (long_mm, short_mm), ("long axis", "short axis"), (100, 60), strict=True
    ):
        known = values[np.isfinite(values)]
        axes.hist(np.minimum(known, top), bins=np.linspace(0, top, 41), color="#0072B2")
        median = f"median {np.median(known):.1f}, " if len(known) else ""
        axes.set_title(f"{name}: {median}{(known > top).sum()} above {top} mm in the last bin")
        axes.set_xlabel("mm")
        axes.set_ylabel("lesions")
    return figure


def _scatter_types(axes: Axes, points: np.ndarray, types: Sequence[str]) -> None:
    names = np.asarray(types)
    size = float(np.clip(6000 / max(len(points), 1), 3, 22))
    shown = [name for name in ("", *LESION_TYPES) if (names == name).any()]
    for name in shown:
        chosen = names == name
        x, y = points[chosen].T
        axes.scatter(x, y, s=size, c=type_colour(name), linewidths=0, alpha=0.85)
    handles = [
        Line2D([], [], marker="o", linestyle="", color=type_colour(name), label=f"{name or 'no type'}")
        for name in shown
    ]
    axes.legend(handles=handles, fontsize=6, loc="upper right", markerscale=0.8, handletextpad=0.1)
