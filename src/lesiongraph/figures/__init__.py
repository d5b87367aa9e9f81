"""Takes results, gives the paper's figures (Fig. 3, 5–15) and one self-contained HTML report."""

from lesiongraph.figures.body_location import (
    LandmarkDots,
    PatientSlices,
    SeriesCurve,
    equal_z_figure,
    landmark_figure,
    series_figure,
)
from lesiongraph.figures.body_map import FrontView, LandmarkRow, z_map_figure
from lesiongraph.figures.maps import (
    atlas_figure,
    sample_clusters,
    size_figure,
    tsne_figure,
    tsne_positions,
)
from lesiongraph.figures.marks import MarkOnSlice, located_figure, marks_figure
from lesiongraph.figures.page import Picture, Section, Table, render_page
from lesiongraph.figures.panels import Hit, RetrievalRow, retrieval_figure, sequence_figure
from lesiongraph.figures.patient import PatientLesion, graph_figure, patient_figure
from lesiongraph.figures.scores import confusion_figure, curve_figure, loss_figure
from lesiongraph.figures.theme import to_png
from lesiongraph.figures.tiles import TILE_LEGEND, Tile

__all__ = [
    "TILE_LEGEND",
    "FrontView",
    "Hit",
    "LandmarkDots",
    "LandmarkRow",
    "MarkOnSlice",
    "PatientLesion",
    "PatientSlices",
    "Picture",
    "RetrievalRow",
    "Section",
    "SeriesCurve",
    "Table",
    "Tile",
    "atlas_figure",
    "confusion_figure",
    "curve_figure",
    "equal_z_figure",
    "graph_figure",
    "landmark_figure",
    "located_figure",
    "loss_figure",
    "marks_figure",
    "patient_figure",
    "render_page",
    "retrieval_figure",
    "sample_clusters",
    "sequence_figure",
    "series_figure",
    "size_figure",
    "to_png",
    "tsne_figure",
    "tsne_positions",
    "z_map_figure",
]
