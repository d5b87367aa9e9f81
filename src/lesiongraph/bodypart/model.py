"""A trained regressor: weights, the map from score to z, and where both came from; load, save, score."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor

from lesiongraph.bodypart.network import SsbrNetwork, seeded_network
from lesiongraph.bodypart.slices import SliceMode
from lesiongraph.errors import WeightsError

KIND = "lesiongraph-ssbr"
FORMAT = 2
PACKAGED = "ssbr-compact.safetensors"
_BATCH = 64


@dataclass(frozen=True)
class ZMap:
    """The strictly rising map from score to z in (0, 1).

    u = slope * score + offset; z = u inside [tail, 1 - tail], and beyond it a hyperbola that meets the
    line with the same slope and never reaches 0 or 1: no plateau, so the order of slices survives.
    """

    slope: float
    offset: float
    tail: float = 0.05

    def __post_init__(self) -> None:
        if not (self.slope > 0 and np.isfinite(self.offset) and 0 < self.tail < 0.5):
            raise ValueError(f"z map: expected slope > 0, finite offset, tail in (0, 0.5); got {self}")

    @classmethod
    def spanning(cls, low: float, high: float, tail: float = 0.05) -> ZMap:
        """Map scores low..high (the trained range) onto tail..1 - tail."""
        slope = (1 - 2 * tail) / max(high - low, 1e-6)
        return cls(slope, tail - slope * low, tail)

    def __call__(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Map scores (n,) to z (n,)."""
        u = self.slope * np.asarray(scores, dtype=np.float64) + self.offset
        low, high = self.tail, 1 - self.tail
        below = low**2 / (low + np.maximum(low - u, 0))
        above = 1 - low**2 / (low + np.maximum(u - high, 0))
        return np.where(u < low, below, np.where(u > high, above, u))


class SsbrModel:
    """A body part regressor ready for use.

    Parameters
    ----------
    network : SsbrNetwork
    z_map : ZMap
    slice_mode : {"body", "frame"}
        How `slice_input` must cut the slices it scores.
    score_per_mm : float
        Typical rise of the score per mm towards the feet; NaN if never measured.
    notes : dict of str to str
        Training data, version, figures: kept with the weights.
    name : str
        As reports call it.
    """

    def __init__(
        self,
        network: SsbrNetwork,
        z_map: ZMap,
        *,
        slice_mode: SliceMode = "body",
        score_per_mm: float = float("nan"),
        notes: dict[str, str] | None = None,
        name: str = "fitted",
    ) -> None:
        self.network = network.eval()
        self.z_map = z_map
        self.slice_mode: SliceMode = slice_mode
        self.score_per_mm = score_per_mm
        self.notes = dict(notes or {})
        self.name = name

    def score(self, slices: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Score slices (n, size, size) uint8 from `slice_input`; head to foot, about 1 a 100 mm."""
        return score_slices(self.network, slices)

    def to_z(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Map scores (n,) to z (n,) in (0, 1), head to foot, strictly rising."""
        return self.z_map(scores)

    def in_trained_range(self, scores: ArrayLike) -> NDArray[np.bool_]:
        """Tell which scores (n,) lie where the z map is a line, that is, among the trained ones."""
        u = self.z_map.slope * np.asarray(scores, dtype=np.float64) + self.z_map.offset
        return np.asarray((u >= self.z_map.tail) & (u <= 1 - self.z_map.tail))

    @property
    def sha256(self) -> str:
        """Hash of the weights file as `save` writes it."""
        return hashlib.sha256(self._as_bytes()).hexdigest()

    def save(self, path: Path) -> None:
        """Write weights and constants as one safetensors file."""
        path.write_bytes(self._as_bytes())

    @classmethod
    def load(cls, path: Path | None = None) -> SsbrModel:
        """Read a model; None reads the one inside the package.

        Raises
        ------
        WeightsError
            If the file is absent, damaged, or holds something else.
        """
        if path is None:
            packaged = resources.files("lesiongraph.bodypart") / "weights" / PACKAGED
            with resources.as_file(packaged) as packaged_path:
                return _read(packaged_path)
        return _read(path)

    def _as_bytes(self) -> bytes:
        state = {key: _smallest(value) for key, value in sorted(self.network.state_dict().items())}
        # one JSON text: safetensors does not keep the order of several entries, and the hash must not change
        described = {
            "format": FORMAT,
            "name": self.name,
            "network": self.network.name,
            "slice_mode": self.slice_mode,
            "score_per_mm": None if np.isnan(self.score_per_mm) else self.score_per_mm,
            "z_map": asdict(self.z_map),
            "notes": self.notes,
        }
        return to_safetensors(state, {KIND: json.dumps(described, sort_keys=True)})


def _smallest(weights: Tensor) -> Tensor:
    """Half precision where it holds the same numbers: a trained model's weights are rounded to it."""
    half = weights.half()
    return (half if torch.equal(half.float(), weights) else weights).contiguous()


def score_slices(network: SsbrNetwork, slices: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Score slices (n, size, size) uint8 in batches, without gradients, where the network lies.

    Raises
    ------
    ValueError
        If `slices` is not a stack of 8-bit squares.
    """
    if slices.ndim != 3 or slices.dtype != np.uint8:
        raise ValueError(f"slices: expected (n, size, size) uint8, got {slices.shape} {slices.dtype}")
    scores = np.empty(len(slices))
    device = next(network.parameters()).device
    with torch.inference_mode():
        for start in range(0, len(slices), _BATCH):
            batch = torch.from_numpy(np.ascontiguousarray(slices[start : start + _BATCH]))
            pictures = batch.to(device)[:, None].float()
            scores[start : start + len(batch)] = network(pictures).double().cpu().numpy()
    return scores


def _read(path: Path) -> SsbrModel:
    expected = f"a safetensors file of kind {KIND}, format {FORMAT}"
    next_step = "Give the file that `lesiongraph locate --fit` wrote, or leave --weights out."
    if not path.is_file():
        raise WeightsError(str(path), expected, "no such file", next_step)
    try:
        with safe_open(path, framework="pt") as stored:
            described = json.loads((stored.metadata() or {})[KIND])
            if described["format"] != FORMAT:
                raise WeightsError(str(path), expected, f"format {described['format']}", next_step)
            network = seeded_network(described["network"], 0)
            network.load_state_dict({key: stored.get_tensor(key).float() for key in stored.keys()})  # noqa: SIM118
    except KeyError as cause:
        raise WeightsError(str(path), expected, f"no entry {cause}", next_step) from cause
    except (SafetensorError, RuntimeError, ValueError) as cause:
        raise WeightsError(str(path), expected, f"damaged or other weights ({cause})", next_step) from cause
    per_mm = described["score_per_mm"]
    return SsbrModel(
        network,
        ZMap(**described["z_map"]),
        slice_mode=described["slice_mode"],
        score_per_mm=float("nan") if per_mm is None else per_mm,
        notes=described["notes"],
        name=described["name"],
    )
