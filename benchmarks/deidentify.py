"""Cost of the de-identifying door, and what dicognito leaves of the same objects.

Run: ``python benchmarks/deidentify.py CT_FILE SR_FILE``
"""

from __future__ import annotations

import argparse
import copy
import tempfile
import time
import warnings
from io import BytesIO
from pathlib import Path

import pydicom
from dicognito.anonymizer import Anonymizer
from pydicom import Dataset

from lesiongraph.mining import Deidentifier, KeyFile

PLANTED = {
    "SeriesDescription": "Zqvort 1",
    "ImageComments": "Zqvort 2",
    "DeviceSerialNumber": "Zqvort 3",
    "StudyDescription": "Zqvort 4",
    "PatientComments": "Zqvort 5",
    "PatientAge": "097Y",
    "TextValue": "Zqvort 6",
    "UnformattedTextValue": "Zqvort 7",
    "ROIName": "Zqvort 8",
    "SegmentLabel": "Zqvort 9",
}


def per_object_us(file: Path, door: Deidentifier, times: int = 50) -> tuple[int, float, float]:
    """Return attributes at the top, and the cost (µs) of reading and of admitting, the smallest of many."""
    content, reads, admits = file.read_bytes(), [], []
    for _ in range(times):
        start = time.perf_counter()
        dataset = pydicom.dcmread(BytesIO(content), stop_before_pixels=True)
        read = time.perf_counter()
        door.admit(dataset)
        admits.append(time.perf_counter() - read)
        reads.append(read - start)
    return len(dataset), 1e6 * min(reads), 1e6 * min(admits)


def dicognito_leaves(file: Path) -> list[str]:
    """Return what dicognito leaves of planted values, and whether its dates keep a study together."""
    dataset = pydicom.dcmread(file, stop_before_pixels=True)
    for keyword, value in PLANTED.items():
        setattr(dataset, keyword, value)
    dataset.private_block(0x11, "ZQ", create=True).add_new(1, "LO", "Zqvort 0")
    timed, untimed = copy.deepcopy(dataset), copy.deepcopy(dataset)
    timed.StudyDate = untimed.StudyDate = "20200131"
    timed.StudyTime, untimed.StudyTime = "233000", ""
    shifts = set()
    apart = 0
    for seed in range(100):
        shifted = [copy.deepcopy(d) for d in (timed, untimed)]
        for one in shifted:
            Anonymizer(seed=str(seed)).anonymize(one)
        apart += shifted[0].StudyDate != shifted[1].StudyDate
    anonymizer = Anonymizer(seed="one")
    for patient in ("A", "B", "C"):
        one = Dataset()
        one.file_meta, one.PatientID, one.StudyDate, one.StudyTime = (
            dataset.file_meta,
            patient,
            "20200131",
            "120000",
        )
        anonymizer.anonymize(one)
        shifts.add(one.StudyDate)
    left = [k for k, v in PLANTED.items() if shifted[0].get(k) == v]
    left += ["private attributes"] if any(e.tag.is_private for e in shifted[0]) else []
    return [
        f"left: {', '.join(left)}",
        f"one study, one object without StudyTime: other date with {apart} of 100 seeds",
        f"three patients, one day: {len(shifts)} different shifted day(s)",
    ]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+")
    warnings.simplefilter("ignore")
    files = parser.parse_args().files
    with tempfile.TemporaryDirectory() as folder, KeyFile.create(Path(folder) / "a.key") as key:
        for file in files:
            count, read_us, admit_us = per_object_us(file, Deidentifier(key))
            print(f"{file.name}: {count} attributes, read {read_us:.0f} µs, admit {admit_us:.0f} µs")
    for line in dicognito_leaves(files[0]):
        print("dicognito:", line)


if __name__ == "__main__":
    main()
