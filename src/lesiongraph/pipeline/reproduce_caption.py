"""What a reproduced table says of itself: data, preset, steps, random seeds, version, commit, machine."""

from __future__ import annotations

from typing import Any

from lesiongraph.pipeline.reproduce_cells import Scores
from lesiongraph.pipeline.reproduce_rows import TableRow
from lesiongraph.pipeline.reproduce_runs import SPLIT
from lesiongraph.pipeline.training_run import ANCHORS
from lesiongraph.recipe import EvaluationRecipe, Recipe, preset

UNKNOWN = "unknown"  # the commit of an installed package


def state_run(scores: dict[TableRow, list[Scores]], recipe: Recipe, seeds: int) -> dict[str, Any]:
    """Return what the caption says: what was run, on what, and by which version."""
    own, usual = recipe.embedding, preset(recipe.name).embedding
    every = [one.about["run"] for row in scores.values() for one in row]
    some = next(iter(scores.values()))[0]
    return {
        "preset": recipe.name,
        "changed": {
            name: [getattr(usual, name), getattr(own, name)]
            for name in vars(own)
            if getattr(own, name) != getattr(usual, name)
        },
        "trunk": own.trunk,
        "trunk_trained": own.train_trunk,
        "steps": own.steps,
        "refinement_steps": own.refinement_steps * own.refinements,
        "random_seeds": seeds,
        "split": SPLIT,
        "lesions": len(some.patients),
        "patients": len(set(some.patients)),
        "k": EvaluationRecipe().k,
        **{
            name: sorted({str(about[name]) or UNKNOWN for about in every})
            for name in ("machine", "version", "commit")
        },
        "seconds_of_trainings": [about["seconds"] for about in every if "seconds" in about],
        "sequences_relaxed": own.relax_sequences,
        "anchors": {
            row.name: [about["counts"][ANCHORS], about["counts"]["pool"]]
            for row, own_scores in scores.items()
            # a run of an earlier version does not state it
            if row.trained and ANCHORS in (about := own_scores[0].about["run"])["counts"]
        },
        "noise_of_the_pseudo_labels": {
            row.name: [one.about["noise"] for one in own_scores]
            for row, own_scores in scores.items()
            if any(one.about["noise"] for one in own_scores)
        },
    }


def caption(stated: dict[str, Any]) -> str:
    """Return the caption: how to read the table, then what was run."""
    trunk = "trained" if stated["trunk_trained"] else "frozen"
    fewer = [
        f"{name} {now} instead of the preset's {usual}" for name, (usual, now) in stated["changed"].items()
    ]
    parts = [
        f"Counted on {stated['lesions']} typed lesions of {stated['patients']} patients, split "
        f"{stated['split']}.",
        f"Average retrieval errors of the {stated['k']} nearest lesions (lower is better), then clustering, "
        "classification and matching (higher is better), in percent; best of a column in bold. Hits of the "
        'query\'s own patient count, except under "other patients". Trained rows: mean ± standard deviation '
        f"over {stated['random_seeds']} random seeds.",
        f"Preset {stated['preset']}, trunk {stated['trunk']} ({trunk}), {stated['steps']} steps and "
        f"{stated['refinement_steps']} of refinement{'; ' + '; '.join(fewer) if fewer else ''}.",
        *_anchors(stated),
        f"lesiongraph {', '.join(stated['version'])}"
        + ("" if stated["commit"] == [UNKNOWN] else f", commit {', '.join(stated['commit'])}")
        + f"; {'; '.join(stated['machine'])}.",
    ]
    return "\n".join(parts)


def _anchors(stated: dict[str, Any]) -> list[str]:
    """Say from how many lesions the sequences of each row start: with few, a row is hardly trained."""
    if not stated["anchors"]:
        return []
    rows = ", ".join(f"{name} {anchors} of {pool}" for name, (anchors, pool) in stated["anchors"].items())
    how = "relaxed where no companion is near enough" if stated["sequences_relaxed"] else "none relaxed"
    return [f"Pool lesions that sequences of the first training start from ({how}): {rows}."]
