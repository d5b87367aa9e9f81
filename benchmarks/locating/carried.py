"""All that trials learn from and are judged by, in one file: a GPU machine has neither data nor network.

The file holds third-party pixels, some of closed licence: it is for a run, never for the repository.
"""

from __future__ import annotations

import lzma
import pickle
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lesiongraph.bodypart import SsbrModel, TrainingVolume, slice_input
from lesiongraph.phantom import sample_plain_volume, sample_training_volume
from locating.candidates import packaged
from locating.prepared import Inputs, Prepared, deeplesion_slices, phantom_prepared, real_prepared
from ssbr_left_out import mean_z, score_at
from train_ssbr import Mix, drawn_phantom, shippable_volumes

FIT_SEED, TEST_SEED = 9001, 9002  # as in ssbr.py
_CROPS = "STS_"  # neither trained on nor judged
# Slices come two or three times (trained on, judged, in frames): the window must reach back to them.
_COMPRESSION = ({"id": lzma.FILTER_LZMA2, "preset": 4, "dict_size": 256 * 2**20},)


@dataclass
class Carried:
    """What travels: real volumes in both slice modes, those to judge by, and reference z of phantoms."""

    body: list[TrainingVolume]
    frame: list[TrainingVolume]
    real: list[Prepared]
    authors_z: NDArray[np.float64]  # (n,) of DeepLesion slices
    authors_patients: list[str]
    deeplesion: Inputs
    reference: dict[str, float]  # landmark -> z of the packaged model on phantoms
    judging: dict[str, list[Prepared]] = field(default_factory=dict)  # phantoms; drawn on the spot


def prepare(data: Path) -> Carried:
    """Read the data folder."""
    known, inputs = deeplesion_slices(data)
    frame = [replace(v, frames=None, boxes=None) for v in shippable_volumes(data, "frame")]
    return Carried(
        body=shippable_volumes(data, "body"),
        frame=frame,
        real=[replace(v, views=None) for v in real_prepared(data) if not v.name.startswith(_CROPS)],
        authors_z=known.z.to_numpy(dtype=float),
        authors_patients=known.patient.tolist(),
        deeplesion=inputs,
        reference=_reference(),
    )


def _reference() -> dict[str, float]:
    model = SsbrModel.load()
    ours, marked = packaged(model), []
    for volume in phantom_prepared(10, FIT_SEED, plain=True):
        score = ours.score(volume)
        at = [(name, float(model.to_z(score_at(score, i)))) for name, i in volume.marks.items()]
        marked.append((volume.patient, at))
    return mean_z(marked)


def write(carried: Carried, path: Path) -> None:
    """Write compressed."""
    with lzma.open(path, "wb", filters=list(_COMPRESSION)) as stream:
        pickle.dump(carried, stream, protocol=5)


def read(path: Path) -> Carried:
    """Read a file that `write` made here; never one from elsewhere: unpickling runs what it holds."""
    with lzma.open(path, "rb") as stream:
        found = pickle.load(stream)
    if not isinstance(found, Carried):
        raise SystemExit(
            f"{path}: expected what `ssbr_trials.py --prepare` writes, got {type(found).__name__}"
        )
    return found


def _judged_phantom(task: tuple[bool, int, int]) -> Prepared:
    plain, seed, i = task
    sample = sample_plain_volume if plain else sample_training_volume
    drawn = sample(np.random.default_rng([seed, i]))
    inputs: Inputs = {"body": np.stack([slice_input(hu, (1.0, 1.0)) for hu in drawn.hu])}
    inputs["frame"] = np.stack([slice_input(hu, (1.0, 1.0), mode="frame") for hu in drawn.hu])
    position = drawn.interval_mm * np.arange(len(drawn.hu))
    return Prepared(f"phantom {i}", f"phantom {i}", inputs, position, dict(drawn.landmarks), true_z=drawn.z01)


def draw_all(
    mixes: Sequence[Mix], judged: int, processes: int
) -> tuple[dict[tuple[str, int], TrainingVolume], dict[str, list[Prepared]]]:
    """Draw all phantoms that some mix asks for, and those to judge by, in processes side by side.

    Returns
    -------
    training : (kind, number) -> volume
    judging : "plain", "varied" -> `judged` phantoms each; "fit": a third as many plain ones
    """
    wanted = sorted({(kind, i) for mix in mixes for kind, count in mix for i in range(count)})
    tasks = [(True, TEST_SEED, i) for i in range(judged)] + [(False, TEST_SEED, i) for i in range(judged)]
    tasks += [(True, FIT_SEED, i) for i in range(max(2, judged // 3))]
    with ProcessPoolExecutor(processes, mp_context=get_context("fork")) as pool:
        kinds, numbers = zip(*wanted, strict=True) if wanted else ((), ())
        training = pool.map(drawn_phantom, kinds, numbers, chunksize=2)
        seen = list(pool.map(_judged_phantom, tasks, chunksize=2))
        volumes = dict(zip(wanted, training, strict=True))
    judging = {"plain": seen[:judged], "varied": seen[judged : 2 * judged], "fit": seen[2 * judged :]}
    return volumes, judging
