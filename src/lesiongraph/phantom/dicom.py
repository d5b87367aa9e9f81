"""CT series of the phantom hospital as DICOM files (PS3.3 A.3 CT Image IOD).

Everything a file holds follows from the records handed in: no clock, no random UID; so the same seed gives
the same bytes.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from openjpeg.utils import encode_array
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)
from pydicom.valuerep import VR

MANUFACTURER = "lesiongraph"
MODEL = "phantom hospital"
IMPLEMENTATION_UID = generate_uid(entropy_srcs=["lesiongraph", "phantom", "implementation"])
WINDOWS = {"lung": (-600.0, 1500.0), "bone": (300.0, 1500.0)}  # (level, width) HU by kernel
SOFT_TISSUE_WINDOW = (50.0, 400.0)
PADDED_STORED_VALUE = -2000  # what some scanners store outside the reconstruction circle
ENCODER_PLUGINS = {str(RLELossless): "gdcm", str(JPEGLSLossless): "pyjpegls"}


@dataclass(frozen=True)
class PatientRecord:
    """Who was scanned, in which hospital (its random seed). `birth_date` is YYYYMMDD, `sex` M or F."""

    rng_seed: int
    patient_id: str
    sex: str
    birth_date: str


@dataclass(frozen=True)
class StudyRecord:
    """One visit: dates are YYYYMMDD, times HHMMSS; `table_zero_mm` is where this scanner's z = 0 lies."""

    patient: PatientRecord
    number: int
    date: str
    time: str
    description: str
    table_zero_mm: float

    def uid(self, *what: object) -> str:
        """Return a UID that depends only on the patient, the study and `what`."""
        words = [
            str(self.patient.rng_seed),
            self.patient.patient_id,
            self.date,
            str(self.number),
            *map(str, what),
        ]
        return generate_uid(entropy_srcs=["/".join(words)])

    @property
    def study_instance_uid(self) -> str:
        """UID of the study."""
        return self.uid("study")


@dataclass(frozen=True)
class SeriesStyle:
    """How a scanner stores a series: the variety that mining has to cope with (facts, data traps)."""

    flip_rows: bool = False  # IOP 1\0\0\0\-1\0
    storage: str = "unsigned"  # unsigned | signed | padded
    transfer_syntax_uid: str = str(ExplicitVRLittleEndian)
    foot_first: bool = False  # instance numbers count from the feet
    scrambled_names: bool = False  # file names say nothing about the order


@dataclass(frozen=True)
class SeriesGeometry:
    """Where the voxels of a series lie, canonical axes (x to the left, y to the back, z to the feet), mm."""

    positions_mm: npt.NDArray[np.float64]  # (n,) growing towards the feet
    pixel_mm: float
    first_x_mm: float  # centre of the first column
    first_y_mm: float  # centre of the first (front-most) row
    thickness_mm: float
    kernel: str
    contrast_phase: str


@dataclass
class WrittenSeries:
    """What the reports and the truth need to know about a series on disk."""

    number: int
    series_instance_uid: str
    sop_instance_uids: list[str]  # by slice index, 0 nearest the head
    paths: list[Path]
    flip_rows: bool
    rows: int
    columns: int
    pixel_mm: float
    template: Dataset = field(repr=False)

    def header(self, slice_index: int) -> Dataset:
        """Return the attributes of one slice without its pixels, as an SR or GSPS references it."""
        header = Dataset()
        header.update(self.template)
        # A new element: assigning would change the one shared with the template.
        header.add_new("SOPInstanceUID", "UI", self.sop_instance_uids[slice_index])
        return header


def write_series(
    folder: Path,
    hu: npt.NDArray[np.int16],
    geometry: SeriesGeometry,
    record: tuple[StudyRecord, int],
    style: SeriesStyle,
) -> WrittenSeries:
    """Write one file a slice.

    Parameters
    ----------
    folder
        Made if absent.
    hu : (n, rows, columns) int16
        Canonical view, slice 0 nearest the head.
    geometry
        Positions and pixel size of `hu`.
    record
        The study and the series number in it.
    style
        How the scanner stores it.

    Source: PS3.3 A.3.3 (CT Image IOD), C.7.6.2 (Image Plane), C.8.2.1 (CT Image).
    """
    study, number = record
    folder.mkdir(parents=True, exist_ok=True)
    count, rows, columns = hu.shape
    series_uid = study.uid("series", number)
    stored = _stored_values(hu[:, ::-1] if style.flip_rows else hu, style.storage)
    template = _template(study, number, geometry, style, (rows, columns))
    first_y_mm = geometry.first_y_mm + (rows - 1) * geometry.pixel_mm * style.flip_rows
    encoded = _with_raw_elements(template)
    uids: list[str] = []
    paths: list[Path] = []
    for index in range(count):
        instance_number = count - index if style.foot_first else index + 1
        uid = generate_uid(entropy_srcs=[series_uid, str(index)])
        z_mm = study.table_zero_mm - float(geometry.positions_mm[index])
        encoded.SOPInstanceUID = uid
        encoded.file_meta.MediaStorageSOPInstanceUID = uid
        encoded.InstanceNumber = instance_number
        encoded.ImagePositionPatient = [_decimal(v) for v in (geometry.first_x_mm, first_y_mm, z_mm)]
        encoded.SliceLocation = _decimal(z_mm)
        path = folder / _file_name(uid, instance_number, style.scrambled_names)
        _write(encoded, stored[index], style.transfer_syntax_uid, path)
        uids.append(uid)
        paths.append(path)
    return WrittenSeries(
        number, series_uid, uids, paths, style.flip_rows, rows, columns, geometry.pixel_mm, template
    )


def outside_circle(rows: int, columns: int) -> npt.NDArray[np.bool_]:
    """Return (rows, columns) True outside the reconstruction circle of the field of view."""
    y, x = np.ogrid[:rows, :columns]
    radius_px = min(rows, columns) / 2
    outside: npt.NDArray[np.bool_] = np.hypot(y - (rows - 1) / 2, x - (columns - 1) / 2) > radius_px
    return outside


def _stored_values(hu: npt.NDArray[np.int16], storage: str) -> npt.NDArray[np.int16 | np.uint16]:
    if storage == "signed":
        return hu
    shifted = hu.astype(np.int32) + 1024
    if storage == "unsigned":
        return np.clip(shifted, 0, 4095).astype(np.uint16)
    # A scanner that marks everything outside its circle: air far below −1024 HU (facts, data traps).
    shifted[:, outside_circle(*hu.shape[1:])] = PADDED_STORED_VALUE
    return shifted.astype(np.int16)


def _template(
    study: StudyRecord,
    number: int,
    geometry: SeriesGeometry,
    style: SeriesStyle,
    shape: tuple[int, int],
) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION_UID
    meta.ImplementationVersionName = "LESIONGRAPH"
    ds = FileDataset("", {}, preamble=b"\0" * 128, file_meta=meta)
    _describe_study(ds, study)
    _describe_series(ds, study, number, geometry)
    ds.ImageOrientationPatient = [1, 0, 0, 0, -1 if style.flip_rows else 1, 0]
    ds.PixelSpacing = [_decimal(geometry.pixel_mm)] * 2
    ds.SliceThickness = _decimal(geometry.thickness_mm)
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 16, 15
    if style.storage == "unsigned":
        ds.BitsStored, ds.HighBit = 12, 11
    ds.PixelRepresentation = 0 if style.storage == "unsigned" else 1
    if style.storage == "padded":
        ds.PixelPaddingValue = PADDED_STORED_VALUE
    ds.RescaleIntercept = "0" if style.storage == "signed" else "-1024"
    ds.RescaleSlope = "1"
    ds.RescaleType = "HU"
    level, width = _window(geometry.kernel)
    ds.WindowCenter, ds.WindowWidth = _decimal(level), _decimal(width)
    return ds


def _describe_study(ds: Dataset, study: StudyRecord) -> None:
    patient = study.patient
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = CTImageStorage
    ds.PatientName = f"Phantom^{patient.patient_id.split('-')[-1]}"
    ds.PatientID = patient.patient_id
    ds.PatientBirthDate = patient.birth_date
    ds.PatientSex = patient.sex
    age = int(study.date[:4]) - int(patient.birth_date[:4])
    age -= study.date[4:] < patient.birth_date[4:]
    ds.PatientAge = f"{age:03d}Y"
    ds.StudyInstanceUID = study.study_instance_uid
    ds.StudyDate = study.date
    ds.StudyTime = study.time
    ds.StudyDescription = study.description
    ds.StudyID = str(study.number)
    ds.AccessionNumber = f"{patient.patient_id[-4:]}{study.number:02d}"
    ds.ReferringPhysicianName = ""


def _describe_series(ds: Dataset, study: StudyRecord, number: int, geometry: SeriesGeometry) -> None:
    ds.Modality = "CT"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SeriesInstanceUID = study.uid("series", number)
    ds.SeriesNumber = number
    ds.SeriesDescription = f"{geometry.kernel} {geometry.contrast_phase}".strip()
    ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = study.date
    ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = study.time
    ds.FrameOfReferenceUID = study.uid("frame of reference")
    ds.PositionReferenceIndicator = ""
    ds.PatientPosition = "HFS"
    ds.Manufacturer = MANUFACTURER
    ds.ManufacturerModelName = MODEL
    ds.AcquisitionNumber = number
    ds.KVP = "120"
    ds.ConvolutionKernel = geometry.kernel
    if geometry.contrast_phase not in {"", "none", "native"}:
        ds.ContrastBolusAgent = "Iodinated contrast"


def _window(kernel: str) -> tuple[float, float]:
    for name, window in WINDOWS.items():
        if name in kernel.lower():
            return window
    return SOFT_TISSUE_WINDOW


def _with_raw_elements(template: FileDataset) -> FileDataset:
    """Return the template read back from bytes: its elements are copied, not encoded, at each write."""
    buffer = io.BytesIO()
    template.SOPInstanceUID = template.file_meta.MediaStorageSOPInstanceUID = UID("1.2")
    template.save_as(buffer, enforce_file_format=True)
    buffer.seek(0)
    return dcmread(buffer)


def _write(
    ds: FileDataset, stored: npt.NDArray[np.int16 | np.uint16], transfer_syntax_uid: str, path: Path
) -> None:
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.add_new(0x7FE00010, "OW", np.ascontiguousarray(stored).tobytes())  # PixelData
    if transfer_syntax_uid == JPEG2000Lossless:
        # pydicom's own JPEG 2000 encoder needs pylibjpeg, which is no dependency; openjpeg is.
        codestream = encode_array(np.ascontiguousarray(stored), bits_stored=int(ds.BitsStored))
        ds.PixelData = encapsulate([codestream])
        ds["PixelData"].VR = VR.OB
        ds["PixelData"].is_undefined_length = True
        ds.file_meta.TransferSyntaxUID = JPEG2000Lossless
    elif transfer_syntax_uid != ExplicitVRLittleEndian:
        plugin = ENCODER_PLUGINS[transfer_syntax_uid]
        ds.compress(transfer_syntax_uid, encoding_plugin=plugin, generate_instance_uid=False)
    ds.save_as(path, enforce_file_format=True)


def _file_name(uid: str, instance_number: int, scrambled: bool) -> str:
    if scrambled:
        return f"{generate_uid(entropy_srcs=[uid, 'name'])[-12:]}.dcm"
    return f"{instance_number:04d}.dcm"


def _decimal(value: float) -> str:
    """Format for VR DS: at most 16 characters."""
    return f"{value:.6f}".rstrip("0").rstrip(".")
