"""A random seed → a synthetic hospital as DICOM, with its truth beside it; in place of the PACS of Sec. 3."""

from lesiongraph.phantom.hospital import generate_hospital
from lesiongraph.phantom.training_volume import (
    TrainingPhantom,
    sample_plain_volume,
    sample_training_volume,
)

__all__ = ["TrainingPhantom", "generate_hospital", "sample_plain_volume", "sample_training_volume"]
