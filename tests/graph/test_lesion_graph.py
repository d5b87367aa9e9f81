from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd
import pytest

from lesiongraph.graph import lesion_graph, to_edge_table, write_edge_table, write_graphml
from lesiongraph.index import other_patients


def test_edges_join_each_lesion_with_its_nearest() -> None:
    graph = lesion_graph([[0.0], [1.0], [3.0], [3.5]], k=1)
    assert {frozenset(edge) for edge in graph.edges} == {frozenset((0, 1)), frozenset((2, 3))}
    assert graph.edges[2, 3]["distance"] == 0.5


def test_max_distance_alone_is_the_whole_graph_of_a_patient() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(20, 3))
    graph = lesion_graph(vectors, max_distance=1.5)
    close = np.linalg.norm(vectors[:, None] - vectors[None], axis=2) <= 1.5
    assert graph.number_of_edges() == (close.sum() - 20) / 2
    assert graph.number_of_nodes() == 20


def test_attributes_ids_and_filter() -> None:
    table = pd.DataFrame(
        {"lesion_id": ["L-a", "L-b", "L-c"], "patient": ["p", "p", "q"], "size": [1.0, 2, 3]}
    )
    graph = lesion_graph([[0.0], [0.1], [5.0]], table, k=1, allowed=other_patients(table.patient))
    assert {frozenset(edge) for edge in graph.edges} == {frozenset(("L-a", "L-c")), frozenset(("L-b", "L-c"))}
    assert graph.nodes["L-b"]["size"] == 2.0


def test_edge_table_and_files(tmp_path: Path) -> None:
    table = {
        "lesion_id": ["L-a", "L-b", "L-c"],
        "type": ["lung", None, "soft\x00 tissue"],
        "count": np.array([1, 2, 3]),
        "noisy": [True, False, False],
        "tags": [["x"], [], ["y"]],
    }
    graph = lesion_graph([[0.0], [0.5], [2.0]], table, k=2, max_distance=1.6)
    edges = to_edge_table(graph)
    assert edges.to_dict("list") == {
        "source": ["L-a", "L-b"], "target": ["L-b", "L-c"], "distance": [0.5, 1.5],
    }  # fmt: skip
    write_graphml(graph, tmp_path / "graph.graphml")
    write_edge_table(graph, tmp_path / "edges.parquet")
    read = nx.read_graphml(tmp_path / "graph.graphml")
    assert read.edges["L-a", "L-b"]["distance"] == 0.5
    assert read.nodes["L-c"]["type"] == "soft? tissue"
    assert "type" not in read.nodes["L-b"]
    assert read.nodes["L-c"]["count"] == 3
    assert pd.read_parquet(tmp_path / "edges.parquet").equals(edges)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["edges.parquet", "graph.graphml"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "graph.graphml"
    path.write_text("old")

    def full(_graph: nx.Graph, part: Path) -> None:
        part.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(nx, "write_graphml", full)
    with pytest.raises(OSError, match="No space"):
        write_graphml(nx.Graph(), path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["graph.graphml"]


def test_wrong_use() -> None:
    with pytest.raises(ValueError, match="k, max_distance"):
        lesion_graph([[0.0]])
    with pytest.raises(ValueError, match="2 rows, got 1"):
        lesion_graph([[0.0], [1.0]], {"lesion_id": ["a"]}, k=1)
    with pytest.raises(ValueError, match="unique"):
        lesion_graph([[0.0], [1.0]], {"lesion_id": ["a", "a"]}, k=1)
    assert lesion_graph([[0.0]], k=3).number_of_nodes() == 1
