"""A stand-in for the network, whose scores a test chooses."""

import numpy as np

from lesiongraph.bodypart import Atlas, Landmark, Region, ZError, ZMap


class Ruler:
    """Scores a slice by its mean: 100 grey levels are one unit of score, 100 mm."""

    name = "ruler"
    sha256 = "0" * 64
    slice_mode = "body"
    score_per_mm = 0.01
    z_map = ZMap(0.5, 0.0)

    def __init__(self):
        self.notes = {}

    def score(self, slices):
        return slices.mean(axis=(1, 2)) / 100

    def to_z(self, scores):
        return self.z_map(scores)

    def in_trained_range(self, scores):
        u = self.z_map.slope * np.asarray(scores)
        return (u >= 0.05) & (u <= 0.95)


def slices_scoring(scores):
    """Slices (n, 16, 16) of two greys, as no body is of one, whose mean gives the score."""
    means = np.array([round(100 * score) for score in scores])
    slices = np.repeat(means[:, None, None], 16, axis=1).repeat(16, axis=2)
    apart = np.where(means > 20, 8, 0)
    slices[:, ::4] += apart[:, None, None]
    slices[:, 2::4] -= apart[:, None, None]
    return slices.astype(np.uint8)


def ruler_atlas(borders=(0.0, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0), **changes):
    """An atlas of the ruler: 10 cm are 0.5 of z."""
    marks = [("hyoid", 0.12), ("thoracic inlet", 0.2), ("carina", 0.3), ("liver dome", 0.4),
             ("kidney hilum", 0.5), ("iliac crest", 0.6), ("ischial tuberosity", 0.8)]  # fmt: skip
    names = ("head", "neck", "chest", "abdomen", "pelvis", "thigh")
    parts = {
        "model_name": "ruler",
        "model_sha256": "0" * 64,
        "landmarks": tuple(Landmark(name, z, 0.02, 40, "phantom") for name, z in marks),
        "regions": tuple(Region(*row) for row in zip(names, borders[:-1], borders[1:], strict=True)),
        "z_per_mm": 0.005,
        "z_error": ZError(0.02, 0.04, 60.0, 0.01),
    }
    return Atlas(**(parts | changes))
