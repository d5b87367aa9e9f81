"""A multi-frame CT image, whose marks must name their frame."""

from pathlib import Path

from dicom_files import ENHANCED_CT, new_file, save, uid
from pydicom import Dataset
from pydicom.sequence import Sequence as Items


def enhanced_ct(folder: Path, frames: int = 3) -> str:
    """Write an Enhanced CT of 48 × 32 pixels of 0.7 mm, 2 mm apart; return its SOP Instance UID."""
    ds = new_file(ENHANCED_CT, "CT", uid("enhanced"))
    ds.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    ds.Rows, ds.Columns = 32, 48
    ds.BitsAllocated, ds.NumberOfFrames, ds.SamplesPerPixel = 16, frames, 1
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [0.7, 0.7], 2
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = Items([measures]), Items([orientation])
    ds.SharedFunctionalGroupsSequence = Items([shared])
    groups = []
    for index in range(frames):
        frame, position = Dataset(), Dataset()
        position.ImagePositionPatient = [0, 0, -2 * index]
        frame.PlanePositionSequence = Items([position])
        groups.append(frame)
    ds.PerFrameFunctionalGroupsSequence = Items(groups)
    save(ds, folder / "enhanced")
    return str(ds.SOPInstanceUID)
