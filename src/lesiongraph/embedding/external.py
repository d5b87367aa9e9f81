"""A network of others behind the trunk's protocol."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lesiongraph.embedding.input_contract import SLICES, InputContract, refused
from lesiongraph.embedding.network import choose_device
from lesiongraph.embedding.trunk import MapScale
from lesiongraph.embedding.weights import state_sha256

Network = Callable[[Tensor], Any]


def digest_of(weights_sha256: str, contract: InputContract) -> str:
    """Return one sha256 over weights and contract."""
    return hashlib.sha256(
        (weights_sha256 + json.dumps(asdict(contract), sort_keys=True)).encode()
    ).hexdigest()


@dataclass(frozen=True)
class ExternalVariant:
    """What is stated of an external trunk."""

    name: str
    scales: tuple[MapScale, ...]

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the scales."""
        return tuple(scale.channels for scale in self.scales)

    @property
    def widths(self) -> tuple[int, ...]:
        """The same: nothing is known of the stages inside."""
        return self.channels


class ExternalTrunk:
    """A network of others behind `TrunkLike`; frozen.

    Each map it gives is pooled twice, by the lesion's box and over the whole patch; a vector only as it is.

    Parameters
    ----------
    network : callable
        Takes a Tensor as `contract` says, gives a Tensor or several: maps (B, C, h, w) or (B, C, d, h, w),
        tokens (B, n, C), vectors (B, C).
    contract : InputContract
    name, origin : str
    sha256 : str
        What changes when the network does; over its weights if not given.

    Raises
    ------
    WeightsError
        If the network fails on an empty patch, or gives something else.
    """

    def __init__(
        self, network: Network, contract: InputContract, *, name: str, origin: str, sha256: str = ""
    ) -> None:
        self.contract = contract
        self.origin = origin
        self.device = choose_device()
        self._network = network
        if isinstance(network, nn.Module):
            network.to(self.device)
            with suppress(NotImplementedError):  # an exported program is what it was when exported
                network.eval()
        self.sha256 = sha256 or self._digest()
        self.variant = ExternalVariant(name, tuple(self._scales()))

    @property
    def window_hu(self) -> tuple[float, float]:
        """HU that become 0 and 1."""
        return self.contract.window_hu

    def state_dict(self) -> Mapping[str, Tensor]:
        """Return the network's weights, none where it is a plain function."""
        return self._network.state_dict() if isinstance(self._network, nn.Module) else {}

    def __call__(self, hu: Tensor, extents: Tensor | None = None) -> list[Tensor]:
        """Return one map for each scale."""
        maps: list[Tensor] = []
        for one in self._outputs(hu, extents):
            maps += [one] if one.shape[2:] == (1, 1) else [one, one]
        return maps

    def _digest(self) -> str:
        """One sha256 over weights and contract, so that cached features of another network are not taken."""
        weights = self.state_dict()
        if not weights:
            raise refused(self.origin, "a torch module with weights, or a sha256", "neither")
        return digest_of(state_sha256(weights), self.contract)

    def _outputs(self, hu: Tensor, extents: Tensor | None = None) -> list[Tensor]:
        x = self.contract.prepare(hu, extents)
        parts = [x] if self.contract.batched else [x[i : i + 1] for i in range(len(x))]
        rows = [self._run(part) for part in parts]
        return [torch.cat(one) for one in zip(*rows, strict=True)]

    def _run(self, x: Tensor) -> list[Tensor]:
        given = self._network(x)
        if isinstance(given, Tensor):
            given = [given]
        outputs = list(given.values() if isinstance(given, Mapping) else given)
        return [self.contract.as_map(one.float()) for one in outputs]

    def _try(self) -> list[Tensor]:
        """Run an empty patch: the shapes of the outputs say what there is to pool."""
        try:
            with torch.inference_mode():
                maps = self._outputs(torch.zeros(1, SLICES, 32, 32, device=self.device))
        except Exception as error:  # whatever a network of others raises
            reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
            wanted = f"a network that takes {self.contract.input_shape} and gives maps, tokens or vectors"
            raise refused(self.origin, wanted, reason) from error
        return maps

    def _scales(self) -> list[MapScale]:
        scales = []
        side = self.contract.side_px
        for number, one in enumerate(self._try()):
            channels, height, width = one.shape[1:]
            if (height, width) == (1, 1):
                scales.append(MapScale(f"vector {number}", channels, side, whole=True))
            elif height != width or side % height:
                raise refused(self.origin, f"square maps that divide {side} px", f"{height}×{width} cells")
            else:
                for whole, part in ((False, "box"), (True, "patch")):
                    scales.append(MapScale(f"map {number}, {part}", channels, side // height, whole))
        return scales
