"""Deal patients into the paper's splits and subsets, never one patient into two of them.

DeepLesion keeps its official split: 1 is the pseudo-labelled pool, 2 is halved by patient into seeds and
validation, 3 is the test set (the paper's protocol that fits every count). Other sources have no official
split: patients with a typed lesion are dealt 25 / 25 / 50 to seed, validation and test; the rest are pool.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

_SPLIT_OF = {"pool": "train", "seed": "val", "validation": "val", "test": "test"}
_SEVERITY = ("train", "val", "test")  # a patient named in two official splits goes to the later one
_DEEPLESION = "DeepLesion"


def assign_subsets(lesions: pd.DataFrame) -> pd.DataFrame:
    """Return a copy of the catalogue with `split` and `subset` filled.

    Deterministic and independent of the order of rows: patients of one commonest type are dealt
    in turn, in the order of a hash of their id.

    Parameters
    ----------
    lesions : DataFrame
        LESIONS rows. DeepLesion rows carry the official split in `split`; other rows' values are replaced.

    Source: paper Sec. 6.1 (seeds from the validation set); the protocol that fits its counts (ADR).
    """
    dealt = lesions.copy()
    if dealt.empty:
        return dealt
    patients = dealt["patient_id"].astype(str)
    official = _official_splits(dealt, patients)
    typed = set(patients[(dealt["type"] != "") & (dealt["status"] == "kept")])
    subset_of = dict.fromkeys(patients.unique(), "pool")
    halved = _by_hash(patient for patient, split in official.items() if split == "val")
    subset_of |= {patient: ("seed", "validation")[i % 2] for i, patient in enumerate(halved)}
    subset_of |= {patient: "test" for patient, split in official.items() if split == "test"}
    free = _by_type(dealt, typed - set(official))
    cycle = ("test", "seed", "test", "validation")  # 25 / 25 / 50 at any length, to the nearest patient
    subset_of |= {patient: cycle[i % 4] for i, patient in enumerate(free)}
    dealt["subset"] = patients.map(subset_of).astype("object")
    dealt["split"] = dealt["subset"].map(_SPLIT_OF).astype("object")
    return dealt


def as_found(lesions: pd.DataFrame) -> pd.DataFrame:
    """Return a copy without what `assign_subsets` dealt; an official split stays."""
    official = lesions["source"] == _DEEPLESION
    split = lesions["split"].where(official, "").astype("object")
    return lesions.assign(subset=pd.Series("", lesions.index, "object"), split=split)


def _official_splits(lesions: pd.DataFrame, patients: pd.Series[str]) -> dict[str, str]:
    """Return the official split of each DeepLesion patient: the later of two, train where unknown."""
    stated = lesions["source"] == _DEEPLESION
    split = lesions.loc[stated, "split"].where(lesions["split"].isin(_SEVERITY), "train")
    rank = split.map(_SEVERITY.index).groupby(patients[stated]).max()
    return {str(patient): _SEVERITY[int(i)] for patient, i in rank.items()}


def _by_type(lesions: pd.DataFrame, patients: set[str]) -> list[str]:
    """Return the patients ordered by their commonest type, then by hash: each subset gets every type.

    A small archive dealt blindly may leave its seeds without livers; then no liver can be learned.
    """
    typed = lesions[(lesions["type"] != "") & (lesions["status"] == "kept")]
    counts = typed.groupby(["patient_id", "type"]).size().rename("marks").reset_index()
    counts = counts.sort_values(["marks", "type"], ascending=[False, True], kind="stable")
    commonest = counts.drop_duplicates("patient_id").set_index("patient_id")["type"].to_dict()
    return sorted(_by_hash(patients), key=lambda patient: commonest[patient])


def _by_hash(patients: object) -> list[str]:
    """Return the patients in an order that neither follows their numbering nor ever changes."""
    names = sorted(set(patients))  # type: ignore[call-overload]
    digests = np.array([hashlib.sha256(name.encode()).hexdigest() for name in names])
    return [names[i] for i in np.argsort(digests, kind="stable")] if names else []
