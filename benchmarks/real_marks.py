"""The packaged embedder on real marks, without training: nearest lesions beside location and initial feature.

    python benchmarks/real_marks.py [--data DIR]

Mines `deeplesion` and `deeplesion_mini` (33 typed marks of 8 patients), locates and embeds them through the
pipeline in a temporary workspace. Type error of the five nearest, all hits and other patients' only, with
intervals by patient. Types that one patient alone has cannot be found among other patients: counted apart.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from lesiongraph.embedding import initial_features, load_narrow
from lesiongraph.evaluation import retrieve, type_retrieval_error
from lesiongraph.imaging import PatchStore
from lesiongraph.pipeline.embed import embed
from lesiongraph.pipeline.evaluate import feature_vectors
from lesiongraph.pipeline.locate import locate
from lesiongraph.pipeline.mine import mine
from lesiongraph.workspace import Workspace
from provenance import add_data_argument, print_header, skip_without
from trunks import with_interval

K = 5


def main() -> None:
    """Print one line a feature."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data_argument(parser)
    options = parser.parse_args()
    sources = [options.data / name for name in ("deeplesion", "deeplesion_mini")]
    skip_without(*(source / "DL_info.csv" for source in sources))
    print_header(k=K)
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder) / "workspace")
        mine(workspace, sources)
        locate(workspace)
        embed(workspace)
        report(workspace)


def report(workspace: Workspace) -> None:
    """Print the type errors of every feature on the workspace's typed lesions."""
    vectors = feature_vectors(workspace, "embedding")
    lesions = vectors.lesions
    store = PatchStore(workspace.open("patches", "embed").path / "patches")
    places = feature_vectors(workspace, "location").matrix
    features = {
        "initial feature, narrow trunk": initial_features(
            [store[i] for i in lesions.lesion_id], load_narrow()
        ),
        "initial feature, lesion trunk": feature_vectors(workspace, "initial").matrix,
        "location": places / places.max(axis=0),
        "packaged embedding": vectors.matrix,
    }
    types, patients = lesions.type.to_numpy(str), lesions.patient_id.to_numpy(str)
    shared = [len(set(patients[types == kind])) > 1 for kind in types]
    print(f"{len(lesions)} marks of {len(set(patients))} patients, {sum(shared)} of a type that two have")
    print(
        "| feature | all hits | other patients | the same, types that two patients have |\n|---|---|---|---|"
    )
    for name, matrix in features.items():
        every = 100 * type_retrieval_error(retrieve(matrix, K), types)
        others = 100 * type_retrieval_error(retrieve(matrix, K, patients), types)
        cells = [with_interval(every, patients), with_interval(others, patients)]
        cells.append(with_interval(others[shared], patients[shared]))
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
