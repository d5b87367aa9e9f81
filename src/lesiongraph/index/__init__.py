"""Vectors and filters → the nearest lesions (paper Sec. 5, 6.2)."""

from lesiongraph.index.exact import ExactIndex, other_patients
from lesiongraph.index.protocol import Allowed, LesionIndex

__all__ = ["Allowed", "ExactIndex", "LesionIndex", "other_patients"]
