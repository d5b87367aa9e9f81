"""Maps, patients and scores draw what they are given."""

import matplotlib as mpl
import numpy as np
import pytest
from figure_parts import count, frame_of, pictures, texts, tile

from lesiongraph.figures import (
    PatientLesion,
    atlas_figure,
    confusion_figure,
    curve_figure,
    graph_figure,
    loss_figure,
    patient_figure,
    sample_clusters,
    size_figure,
    tsne_figure,
    tsne_positions,
)
from lesiongraph.figures.theme import to_png


def _lesions() -> list[PatientLesion]:
    """Group 1 in three studies, twice in the last; group 2 alone in the first, group 3 in the second."""
    places = [(0, 1), (1, 1), (2, 1), (2, 1), (0, 2), (1, 3)]
    return [PatientLesion(tile("liver"), study, group, "liver", 10.0) for study, group in places]


def test_by_study_every_mark_is_drawn() -> None:
    figure = patient_figure(_lesions(), ["a", "b", "c"], by_group=False)
    assert len(pictures(figure)) == 6


def test_by_group_merged_marks_are_drawn_once_and_counted() -> None:
    figure = patient_figure(_lesions(), ["a", "b", "c"], by_group=True)
    assert len(pictures(figure)) == 5
    assert any("2 marks merged" in text for text in texts(figure))
    frames = [frame_of(axes) for axes in pictures(figure)]
    assert sorted(frames.count(colour) for colour in set(frames)) == [2, 3]  # two alone, one group


def test_marks_matched_to_nothing_share_rows() -> None:
    figure = patient_figure(_lesions(), ["a", "b", "c"], by_group=True)
    assert texts(figure).count("matched\nto nothing") == 1


def test_graph_chains_each_group_and_shows_only_the_nearest_outside() -> None:
    distances = np.full((6, 6), 0.5)
    distances[:4, :4] = 0.1
    distances[0, 4] = distances[4, 0] = 0.2
    np.fill_diagonal(distances, 0)
    figure = graph_figure(_lesions(), ["a", "b", "c"], distances, longest=0.3)
    assert count(figure, "node") == 6
    assert count(figure, "edge") == 3 + 1  # group 1 from mark to mark, and the one short edge outside


def test_graph_of_a_single_group_has_no_outside_edges() -> None:
    figure = graph_figure(_lesions()[:3], ["a", "b", "c"], np.zeros((3, 3)), longest=0.3)
    assert count(figure, "edge") == 2


def test_tsne_figure_shows_every_sampled_lesion_and_letter() -> None:
    positions = np.random.default_rng(0).normal(size=(20, 2))
    samples = [(np.array([0, 1, 2]), [tile()] * 3), (np.array([3, 4]), [tile()] * 2)]
    figure = tsne_figure(positions, ["lung"] * 10 + [""] * 10, samples)
    assert len(pictures(figure)) == 5
    assert count(figure, "letter") == 2
    assert sum(len(scatter.get_offsets()) for scatter in figure.axes[0].collections) == 20


def test_tsne_keeps_separate_clusters_apart() -> None:
    rng = np.random.default_rng(0)
    vectors = np.vstack([rng.normal(0, 0.05, (20, 8)), rng.normal(3, 0.05, (20, 8))])
    positions = tsne_positions(vectors)
    first, second = positions[:20], positions[20:]
    gap = np.linalg.norm(first.mean(axis=0) - second.mean(axis=0))
    assert gap > 2 * max(first.std(), second.std())


def test_sampled_clusters_are_members_of_one_cluster() -> None:
    rng = np.random.default_rng(0)
    vectors = np.vstack([rng.normal(centre, 0.01, (12, 4)) for centre in (0, 5, 10)])
    samples = sample_clusters(vectors, clusters=3, shown=2)
    assert [len(rows) for rows in samples] == [3, 3]
    assert all(len({row // 12 for row in rows}) == 1 for rows in samples)


def test_atlas_has_the_head_above() -> None:
    figure = atlas_figure(np.array([[0.2, 0.5, 0.1], [0.8, 0.5, 0.9]]), ["lung", "pelvis"])
    front, side = figure.axes
    assert front.get_ylim() == side.get_ylim() == (1.0, 0.0)
    assert front.bbox.height > 2 * front.bbox.width


def test_sizes_count_the_last_bin_and_ignore_unknown_lengths() -> None:
    figure = size_figure(np.array([10.0, 150.0, np.nan]), np.array([5.0, 6.0, np.nan]))
    long_axes, short_axes = figure.axes
    assert long_axes.get_xlabel() == "mm (last bin: 1 above 100)"
    assert short_axes.get_xlabel() == "mm"
    assert "n = 2" in long_axes.get_title(loc="left")
    assert sum(bar.get_height() for bar in long_axes.patches) == 2


def test_titles_of_both_histograms_do_not_overlap() -> None:
    figure = size_figure(np.full(300, 123.4), np.full(300, 88.8))
    to_png(figure)
    first, second = (axes.get_tightbbox() for axes in figure.axes)
    assert not first.overlaps(second)


def test_figures_are_drawn_in_the_house_style_whatever_the_caller_set() -> None:
    with mpl.rc_context({"font.size": 30, "axes.spines.top": True}):
        axes = loss_figure(np.linspace(2, 1, 100), refinement_from=60).axes[0]
    assert axes.xaxis.label.get_fontsize() == 8
    assert not axes.spines["top"].get_visible()
    assert any("refinement" in text.get_text() for text in axes.texts)


def test_confusion_writes_percent_and_counts_of_filled_cells() -> None:
    figure = confusion_figure(np.array([[3, 1], [0, 0]]), ["lung", "liver"])
    assert sorted(text.get_text() for text in figure.axes[0].texts) == ["25 %\n(1)", "75 %\n(3)"]


def test_curves_are_named_with_their_area() -> None:
    curve = np.array([1.0, 0.5]), np.array([0.1, 0.9]), 0.75
    figure = curve_figure({"embedding": curve, "location": curve})
    names = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert names == ["embedding (area 0.750)", "location (area 0.750)"]
    assert all(line.get_xdata()[-1] == pytest.approx(0.9) for line in figure.axes[0].lines)


def test_nine_curves_are_all_drawn_and_told_apart() -> None:
    curve = np.array([np.nan, 1.0, 0.5]), np.array([0.0, 0.1, 0.9]), 0.75
    axes = curve_figure({f"row {i}": curve for i in range(9)}).axes[0]
    assert len({(line.get_color(), line.get_linestyle()) for line in axes.lines}) == 9
    # the area counts the curve as level from recall 0 to its first point: so it is drawn
    assert axes.lines[8].get_xdata().tolist() == [0.0, 0.1, 0.9]
    assert axes.lines[8].get_ydata().tolist() == [1.0, 1.0, 0.5]
