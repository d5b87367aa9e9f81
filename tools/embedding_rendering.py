"""Render phantom lesions in several processes, once each, until the time is up."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from embedding_lesions import Bodies, LesionSet, phantom_lesions
from lesiongraph.phantom.difficulty import CALIBRATION_SEEDS, EVALUATION_SEEDS

_FOREVER_S = 1e9


def render(
    wanted: Sequence[Bodies], folder: Path, workers: int = 1, limit_s: float | None = None
) -> list[Bodies]:
    """Render in the order given what `folder` does not hold yet.

    Parameters
    ----------
    wanted : sequence of Bodies
    folder : path
    workers : int
        Processes, one thread each.
    limit_s : float, optional
        Nothing is begun after so many seconds.

    Returns
    -------
    list of Bodies
        Those that `folder` holds now.

    Raises
    ------
    ValueError
        If bodies are wanted of a seed that results are reported on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for drawn in wanted:
        if drawn.rng_seed in EVALUATION_SEEDS + CALIBRATION_SEEDS:
            raise ValueError(f"seed {drawn.rng_seed}: results are reported on it, nothing may learn from it")
    until = time.monotonic() + (_FOREVER_S if limit_s is None else limit_s)
    tasks = [(drawn, folder, until) for drawn in wanted if not _path(folder, drawn).exists()]
    if workers == 1:
        for task in tasks:
            _render(task)
    elif tasks:
        context = multiprocessing.get_context("spawn")  # a forked child may hang in torch's thread pool
        with context.Pool(workers, _single_threaded) as pool:
            for _ in pool.imap_unordered(_render, tasks):
                pass
    return [drawn for drawn in wanted if _path(folder, drawn).exists()]


def load(wanted: Sequence[Bodies], folder: Path) -> LesionSet:
    """Return rendered lesions."""
    found = LesionSet()
    for drawn in wanted:
        one: LesionSet = pickle.loads(_path(folder, drawn).read_bytes())
        found.extend(one)
    return found


def _path(folder: Path, drawn: Bodies) -> Path:
    return folder / f"{drawn.name}.pkl"


def _single_threaded() -> None:
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # else each process would open the GPU for its SSBR
    torch.set_num_threads(1)


def _render(task: tuple[Bodies, Path, float]) -> None:
    drawn, folder, until = task
    if time.monotonic() >= until:
        return
    path = _path(folder, drawn)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_bytes(pickle.dumps(phantom_lesions(drawn), protocol=pickle.HIGHEST_PROTOCOL))
    part.replace(path)
