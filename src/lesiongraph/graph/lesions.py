"""The lesion graph as an object: nodes with attributes, edges with distances, and its files (Sec. 5)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from lesiongraph.index import Allowed, ExactIndex

_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def lesion_graph(
    embeddings: ArrayLike,
    attributes: pd.DataFrame | Mapping[str, Sequence[object]] | None = None,
    *,
    k: int | None = None,
    max_distance: float | None = None,
    allowed: Allowed | None = None,
) -> nx.Graph:
    """Return the graph of lesions, edges weighted by Euclidean distance.

    Parameters
    ----------
    embeddings : (N, D) array
    attributes : frame or mapping of columns, optional
        One row a node. A column `lesion_id` names the nodes; otherwise nodes are 0 … N − 1.
    k : int, optional
        Connect each lesion with its `k` nearest. Memory grows with N × k.
    max_distance : float, optional
        Leave out longer edges. Without `k` every pair as close is an edge: for one patient's graph
        (Fig. 14), not for a whole archive.
    allowed : filter, optional
        As for `ExactIndex.search`; e.g. `other_patients`.

    Returns
    -------
    networkx.Graph
        Edge attribute `distance`.

    Raises
    ------
    ValueError
        If neither `k` nor `max_distance` is given, lengths differ or lesion ids repeat.

    Source
    ------
    Sec. 5, 5.1: G = <V, E>, d_ij the Euclidean distance; Fig. 14.
    """
    if k is None and max_distance is None:
        raise ValueError("lesion_graph: give k, max_distance or both")
    vectors = np.asarray(embeddings)
    table = pd.DataFrame(attributes) if attributes is not None else pd.DataFrame(index=range(len(vectors)))
    if len(table) != len(vectors):
        raise ValueError(f"attributes: expected {len(vectors)} rows, got {len(table)}")
    names = list(table["lesion_id"]) if "lesion_id" in table else list(range(len(vectors)))
    if len(set(names)) != len(names):
        raise ValueError("attributes: lesion_id must be unique")
    graph = nx.Graph()
    columns = {str(name): table[name].tolist() for name in table.columns}
    graph.add_nodes_from((name, {c: v[i] for c, v in columns.items()}) for i, name in enumerate(names))
    if len(vectors) < 2:
        return graph
    wanted = min(k, len(vectors) - 1) if k is not None else len(vectors) - 1
    distances, rows = ExactIndex(vectors).search(
        vectors, wanted, allowed=allowed, exclude=np.arange(len(vectors))
    )
    kept = (rows >= 0) & (distances <= (np.inf if max_distance is None else max_distance))
    for i, j in zip(*np.nonzero(kept), strict=True):
        graph.add_edge(names[i], names[rows[i, j]], distance=float(distances[i, j]))
    return graph


def to_edge_table(graph: nx.Graph) -> pd.DataFrame:
    """Return the edges as a table with columns source, target, distance, shortest first."""
    table = pd.DataFrame(
        [(a, b, data["distance"]) for a, b, data in graph.edges(data=True)],
        columns=["source", "target", "distance"],
    )
    return table.sort_values("distance", kind="stable", ignore_index=True)


def write_graphml(graph: nx.Graph, path: Path) -> None:
    """Write the graph as GraphML; the file appears whole or not at all.

    Missing values (None, NaN) are left out of a node; characters that XML cannot hold become "?".
    """
    plain = nx.Graph()
    for node, data in graph.nodes(data=True):
        plain.add_node(_plain(node), **_plain_attributes(data))
    for a, b, data in graph.edges(data=True):
        plain.add_edge(_plain(a), _plain(b), **_plain_attributes(data))
    _write_atomically(path, lambda part: nx.write_graphml(plain, part))


def write_edge_table(graph: nx.Graph, path: Path) -> None:
    """Write `to_edge_table` as Parquet; the file appears whole or not at all."""
    _write_atomically(path, lambda part: to_edge_table(graph).to_parquet(part, index=False))


def _write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _plain_attributes(data: Mapping[str, object]) -> dict[str, object]:
    return {name: _plain(value) for name, value in data.items() if not _missing(value)}


def _missing(value: object) -> bool:
    return value is None or (isinstance(value, float | np.floating) and bool(np.isnan(value)))


def _plain(value: object) -> object:
    """A value GraphML knows: text, number or truth value."""
    if isinstance(value, np.generic):
        value = value.item()
    if not isinstance(value, bool | int | float | str):
        value = str(value)
    return _NOT_XML.sub("?", value) if isinstance(value, str) else value
