"""The labels a workspace's training began with and those it was refined on, against the phantom's truth."""

from __future__ import annotations

from pathlib import Path

from labelling.tables import true_types
from lesiongraph.cues import LabelNoise, TypeClassifier, count_seeds, measure_refinement
from lesiongraph.pipeline.vectors import read_vectors
from lesiongraph.workspace import Workspace


def print_refinement(path: Path, truth: Path) -> None:
    """Print accuracy, recalls and what became of each label, over the pool lesions of known type."""
    workspace = Workspace(path)
    vectors = read_vectors(workspace, "initial")
    lesions = vectors.lesions.set_index("lesion_id", drop=False)
    refined = workspace.open("model", "train").read_table("pseudo_labels").set_index("lesion_id")
    seeds = ((lesions.subset == "seed") & (lesions.type != "") & ~lesions.possibly_noisy).to_numpy()
    pool = lesions.lesion_id.isin(refined.index).to_numpy()
    types = lesions.type.to_numpy(str)
    first = TypeClassifier().fit(vectors.matrix[seeds], types[seeds]).predict(vectors.matrix[pool])
    true = true_types(lesions[pool], truth)
    effect = measure_refinement(true, first.types, refined.type.loc[lesions.index[pool]].to_numpy(str))
    print(f"\nrefinement: seeds {count_seeds(types[seeds])}")
    print(f"pool {len(true)} lesions, {int((true == '').sum())} of unknown type left out")
    for name, noise in (("initial feature", effect.before), ("embedding", effect.after)):
        print(f"labels from the {name}: {_describe(noise)}")
    print(f"changed {effect.changed}: mended {effect.mended}, spoilt {effect.spoilt}, the rest still wrong")


def _describe(noise: LabelNoise) -> str:
    recalls = ", ".join(f"{name} {share:.0%}" for name, share in noise.recalls.items())
    return f"right {noise.precision:.1%}, mean recall {noise.balanced_accuracy:.1%} ({recalls})"
