"""Stored values → HU, for every transfer syntax an archive holds, and clear errors for damaged pixels."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from dicom_files import ENHANCED_CT, ct_slice, new_file, save, uid, volume
from openjpeg.utils import encode_array
from pydicom import Dataset
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, JPEG2000Lossless, JPEGLSLossless, RLELossless

from lesiongraph.errors import NotCtError, UnreadableImageError
from lesiongraph.mining.assemble import series_frame, slices_frame
from lesiongraph.mining.dicom_scan import DicomArchive
from lesiongraph.mining.readers import open_series, read_hu

SIZE = (32, 48)
PLUGINS = {RLELossless: "gdcm", JPEGLSLossless: "pyjpegls"}


def ramp(dtype: type = np.uint16) -> np.ndarray:
    return np.arange(SIZE[0] * SIZE[1]).reshape(SIZE).astype(dtype)


def compress(ds: FileDataset, syntax: UID) -> None:
    if syntax == JPEG2000Lossless:  # the one codec that pydicom cannot encode with what is installed
        ds.PixelData = encapsulate([encode_array(ds.pixel_array, photometric_interpretation=2)])
        ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
        ds.file_meta.TransferSyntaxUID = syntax
        return
    ds.compress(syntax, encoding_plugin=PLUGINS[syntax], generate_instance_uid=False)


@pytest.mark.parametrize("syntax", [None, RLELossless, JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize("dtype", [np.uint16, np.int16])
def test_every_transfer_syntax_gives_the_same_hu(tmp_path: Path, syntax: str | None, dtype: type) -> None:
    ds = ct_slice(0, stored=ramp(dtype))
    if syntax is not None:
        compress(ds, syntax)
    hu = read_hu(save(ds, tmp_path / "x"))
    assert hu.dtype == np.int16
    np.testing.assert_array_equal(hu, ramp(np.int16) - 1024)


def test_slope_rounds_and_wide_values_clip(tmp_path: Path) -> None:
    stored = ramp()
    stored[0, 0] = 65535
    hu = read_hu(
        save(ct_slice(0, stored=stored, RescaleSlope="1.5", RescaleIntercept="-0.4"), tmp_path / "x")
    )
    assert hu[0, 0] == 32767
    np.testing.assert_array_equal(hu[0, 1:5], np.rint(np.array([1, 2, 3, 4]) * 1.5 - 0.4))


@pytest.mark.parametrize(
    ("dtype", "padding", "stored", "expected"),
    [
        (np.int16, -2000, -2000, -1024),  # GE: outside the reconstruction circle
        (np.int16, 63536, -2000, -1024),  # the same, stated unsigned
        (np.int16, None, -2000, -3024),  # not stated: kept, the window clamps it
        (np.int16, 1024, 1024, 0),  # water "padding" is not believed
        (np.uint16, 63536, 63536, -1024),
    ],
)
def test_padding_becomes_air(
    tmp_path: Path, dtype: type, padding: int | None, stored: int, expected: int
) -> None:
    pixels = np.full(SIZE, 1000, dtype)
    pixels[3, 4] = stored
    ds = ct_slice(0, stored=pixels)
    if padding is not None:
        ds.add_new("PixelPaddingValue", "US" if padding >= 0 else "SS", padding)
    hu = read_hu(save(ds, tmp_path / "x"))
    assert hu[3, 4] == expected
    assert (np.delete(hu.ravel(), 3 * SIZE[1] + 4) == -24).all()


def test_only_the_slices_asked_for_as_stored(tmp_path: Path) -> None:
    for index in range(4):
        pixels = ramp() + np.uint16(1000 * index)
        save(ct_slice(-index, stored=pixels, orientation=(1, 0, 0, 0, -1, 0)), tmp_path / f"{index}")
    archive = DicomArchive.scan(tmp_path)
    (tmp_path / "0").unlink()  # never asked for
    series = series_frame(archive).iloc[0].to_dict()
    assert series["flip_y"]
    hu = open_series(series, slices_frame(archive)).read([3, 1])
    assert hu.shape == (2, *SIZE)
    np.testing.assert_array_equal(hu[:, 0, 0], [3000 - 1024, 1000 - 1024])
    np.testing.assert_array_equal(hu[0], ramp().astype(int) + 3000 - 1024)


@pytest.mark.parametrize("syntax", [None, RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_cut_pixels_are_unreadable(tmp_path: Path, syntax: str | None) -> None:
    noise = np.random.default_rng(0).integers(0, 4000, SIZE).astype(np.uint16)
    ds = ct_slice(0, stored=noise)
    if syntax is not None:
        compress(ds, syntax)
    path = save(ds, tmp_path / "x")
    path.write_bytes(path.read_bytes()[:-600])
    with pytest.raises(UnreadableImageError, match="pixels cannot be read"):
        read_hu(path)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_damaged_pixels_are_unreadable(tmp_path: Path, syntax: str) -> None:
    ds = ct_slice(0, stored=np.random.default_rng(0).integers(0, 4000, SIZE).astype(np.uint16))
    compress(ds, syntax)
    data = bytearray(ds.PixelData)
    data[20:60] = b"\x00" * 40
    ds.PixelData = bytes(data)
    with pytest.raises(UnreadableImageError):
        read_hu(save(ds, tmp_path / "x"))


def test_a_file_that_is_gone_or_not_in_hu(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match="gone"):
        read_hu(tmp_path / "gone")
    with pytest.raises(NotCtError, match="rescale"):
        read_hu(save(ct_slice(0, RescaleSlope=None), tmp_path / "x"))


def test_a_file_that_changed_its_size_is_unreadable(tmp_path: Path) -> None:
    volume(tmp_path, 2)
    archive = DicomArchive.scan(tmp_path)
    save(ct_slice(0, stored=np.zeros((8, 8), np.uint16)), tmp_path / "000")
    reader = open_series(series_frame(archive).iloc[0].to_dict(), slices_frame(archive))
    with pytest.raises(UnreadableImageError, match="size"):
        reader.read([0])


def test_a_frame_of_an_enhanced_image_has_its_own_rescale(tmp_path: Path) -> None:
    ds = new_file(ENHANCED_CT, "CT", uid("enhanced"))
    ds.Rows, ds.Columns = SIZE
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.NumberOfFrames = 1, "MONOCHROME2", 2
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.PixelRepresentation = 15, 0
    frames = []
    for intercept in (-1024, -1000):
        frame, rescale = Dataset(), Dataset()
        rescale.RescaleSlope, rescale.RescaleIntercept, rescale.RescaleType = 1, intercept, "HU"
        frame.PixelValueTransformationSequence = Items([rescale])
        frames.append(frame)
    ds.PerFrameFunctionalGroupsSequence = Items(frames)
    ds.PixelData = np.stack([ramp(), ramp() + np.uint16(7)]).tobytes()
    path = save(ds, tmp_path / "x")
    assert read_hu(path, 0)[0, 0] == -1024
    assert read_hu(path, 1)[0, 0] == 7 - 1000


def test_an_unknown_kind_is_refused() -> None:
    with warnings.catch_warnings(), pytest.raises(ValueError, match="expected dicom, deeplesion or nifti"):
        open_series({"kind": "video"}, slices_frame(DicomArchive()))
