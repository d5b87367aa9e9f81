"""Takes CT slices, gives a body part score and z in (0, 1) from head to foot (paper, Sec. 4.1, 8.2)."""

from lesiongraph.bodypart.alignment import Alignment, align_z
from lesiongraph.bodypart.atlas import (
    PACKAGED_ATLAS,
    Atlas,
    Landmark,
    NearLandmark,
    Region,
)
from lesiongraph.bodypart.atlas_building import CheckedError, ScoredVolume, build_atlas
from lesiongraph.bodypart.augment import Variation
from lesiongraph.bodypart.body_tags import REGIONS, agreement, term_of
from lesiongraph.bodypart.cross_section import CrossSection, cross_section
from lesiongraph.bodypart.locate import (
    HEAD,
    NARROW,
    NO_TRUNK,
    SeriesScores,
    locate_scores,
    locate_series,
    place_names,
    remarked,
    shows_patient,
)
from lesiongraph.bodypart.loss import MM_PER_SCORE, physical_loss, ssbr_loss
from lesiongraph.bodypart.model import SsbrModel, ZMap, score_slices
from lesiongraph.bodypart.network import CompactNetwork, SsbrNetwork, parameter_count, seeded_network
from lesiongraph.bodypart.series_fit import theil_sen_slope
from lesiongraph.bodypart.slices import (
    SliceMode,
    body_box,
    shows_body,
    slice_input,
    window_to_8bit,
)
from lesiongraph.bodypart.training import (
    COMPACT_DESIGN,
    DESIGNS,
    MIN_VOLUMES,
    PAPER_DESIGN,
    SsbrDesign,
    train_ssbr,
    volume_correlations,
)
from lesiongraph.bodypart.uncertainty import ErrorSample, ZError, fit_z_error
from lesiongraph.bodypart.volume_store import VolumeStore
from lesiongraph.bodypart.volumes import (
    TrainingVolume,
    hardness_weights,
    sample_indices,
    training_volumes,
)

__all__ = [
    "COMPACT_DESIGN",
    "DESIGNS",
    "HEAD",
    "MIN_VOLUMES",
    "MM_PER_SCORE",
    "NARROW",
    "NO_TRUNK",
    "PACKAGED_ATLAS",
    "PAPER_DESIGN",
    "REGIONS",
    "Alignment",
    "Atlas",
    "CheckedError",
    "CompactNetwork",
    "CrossSection",
    "ErrorSample",
    "Landmark",
    "NearLandmark",
    "Region",
    "ScoredVolume",
    "SeriesScores",
    "SliceMode",
    "SsbrDesign",
    "SsbrModel",
    "SsbrNetwork",
    "TrainingVolume",
    "Variation",
    "VolumeStore",
    "ZError",
    "ZMap",
    "agreement",
    "align_z",
    "body_box",
    "build_atlas",
    "cross_section",
    "fit_z_error",
    "hardness_weights",
    "locate_scores",
    "locate_series",
    "parameter_count",
    "physical_loss",
    "place_names",
    "remarked",
    "sample_indices",
    "score_slices",
    "seeded_network",
    "shows_body",
    "shows_patient",
    "slice_input",
    "ssbr_loss",
    "term_of",
    "theil_sen_slope",
    "train_ssbr",
    "training_volumes",
    "volume_correlations",
    "window_to_8bit",
]
