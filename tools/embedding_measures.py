"""What an embedder makes of phantom lesions it has not seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embedding_lesions import LesionSet
from lesiongraph.embedding import PatchLesions, TrainedEmbedder, embed


def measures(model: TrainedEmbedder, lesions: LesionSet) -> dict[str, dict[str, float]]:
    """Return the errors among other bodies and the share found again, with place and size and without."""
    return {name: _measured(model, lesions, told=told) for name, told in (("told", True), ("untold", False))}


def _measured(model: TrainedEmbedder, lesions: LesionSet, *, told: bool) -> dict[str, float]:
    places = lesions.places() * (1.0 if told else float("nan"))
    roi_size = model.recipe.roi_size
    inputs = PatchLesions(lesions.patches, model.trunk, roi_size, model.recipe.pool, places=places)
    likeness = (vectors := embed(model, inputs)) @ vectors.T
    return {**errors_among_others(likeness, lesions), **found_again(likeness, lesions)}


def errors_among_others(likeness: NDArray[np.float32], lesions: LesionSet) -> dict[str, float]:
    """Type, location and log-size error of the five nearest lesions of other bodies."""
    owners, types = np.array(lesions.owners), np.array(lesions.types)
    others = np.where(owners[:, None] == owners[None, :], -np.inf, likeness)
    hits = np.argsort(-others, axis=1)[:, :5]
    known = lesions.places()
    far = np.linalg.norm(known[hits, :3] - known[:, None, :3], axis=2)
    ratio = np.abs(np.log(known[hits, 3:]) - np.log(known[:, None, 3:]))
    return {
        "type_are": round(100 * float((types[hits] != types[:, None]).mean()), 2),
        "location": round(float(far.mean()), 4),
        "log_size": round(float(ratio.mean()), 4),
    }


def found_again(likeness: NDArray[np.float32], lesions: LesionSet) -> dict[str, float]:
    """Share (%) of lesions whose nearest in the body's other visits is the same lesion.

    Of lesions that show in another visit too; `same_again_of_type` asks only among lesions of their type,
    where the body has two or more. No share where there are no such lesions.
    """
    owners, types = np.array(lesions.owners), np.array(lesions.types)
    instances, visits = np.array(lesions.instances), np.array(lesions.visits)
    there = (owners[:, None] == owners[None, :]) & (visits[:, None] != visits[None, :])
    same = instances[:, None] == instances[None, :]
    found = {}
    for name, among in (
        ("same_again", there),
        ("same_again_of_type", there & (types[:, None] == types[None, :])),
    ):
        asked = (among & same).any(1) & (among & ~same).any(1)
        if asked.any():
            nearest = np.where(among, likeness, -np.inf)[asked].argmax(1)
            right = same[asked][np.arange(len(nearest)), nearest]
            found |= {name: round(100 * float(right.mean()), 2), f"{name}_n": int(asked.sum())}
    return found
