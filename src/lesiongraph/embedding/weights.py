"""Trunk weights: the packaged small trunks, VGG-16 from a file or downloaded once; never random unasked."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from lesiongraph.embedding.network import choose_device
from lesiongraph.embedding.trunk import COMPACT, LESION, NARROW, TRUNK_VARIANTS, VGG16, Trunk, TrunkVariant
from lesiongraph.errors import UsageError, WeightsError

WEIGHTS_ENV = "LESIONGRAPH_VGG16_WEIGHTS"
# torchvision's IMAGENET1K_FEATURES: the original VGG-16 convolutions, input 0–255 minus the mean.
# The hexadecimal digits in the name are the head of the file's sha256.
VGG16_URL = "https://download.pytorch.org/models/vgg16_features-amdegroot-88682ab5.pth"
VGG16_SHA256_PREFIX = "88682ab5"
CACHED_NAME = "vgg16_imagenet_features_88682ab5.safetensors"
SILENCE_S = 30.0
PACKAGED = (NARROW.name, COMPACT.name, LESION.name)
_ORIGINS = {
    NARROW.name: "packaged narrow trunk, distilled from VGG-16",
    COMPACT.name: "packaged compact trunk, distilled from VGG-16",
    LESION.name: "packaged lesion trunk, learned from phantom lesions",
}
NEXT_STEP = (
    f"Pass the path of a VGG-16 weights file (.safetensors or .pth with torchvision's key names), set "
    f"{WEIGHTS_ENV} to it, allow the one-time download, or ask for untrained weights with init='scratch'."
)


def load_trunk(
    name: str,
    path: Path | str | None = None,
    *,
    init: Literal["scratch"] | None = None,
    rng_seed: int = 0,
    download: bool = True,
) -> Trunk:
    """Return the trunk of that name, on the GPU if there is one.

    Parameters
    ----------
    name : {"vgg16", "narrow", "compact", "lesion"}
    path : path, optional
        Weights file; without it the packaged file (narrow, compact, lesion) or `load_vgg16`'s search (vgg16).
    init : "scratch", optional
        Ask for untrained weights.
    rng_seed : int
        Draws the untrained weights.
    download : bool
        Whether VGG-16 weights may be downloaded.

    Raises
    ------
    UsageError
        If there is no such trunk.
    WeightsError
        If the weights are absent, damaged or of another trunk.
    """
    if name not in TRUNK_VARIANTS:
        raise UsageError(f"Unknown trunk {name!r}; expected one of {', '.join(TRUNK_VARIANTS)}.")
    if init == "scratch":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(rng_seed)
            return Trunk(TRUNK_VARIANTS[name]).to(choose_device()).eval()
    if name == "vgg16":
        return load_vgg16(path, download=download)
    return _load_packaged(TRUNK_VARIANTS[name], path)


def load_narrow(path: Path | str | None = None) -> Trunk:
    """Return the narrow trunk: the packaged weights, or those of `path`."""
    return _load_packaged(NARROW, path)


def load_compact(path: Path | str | None = None) -> Trunk:
    """Return the compact trunk: the packaged weights, or those of `path`."""
    return _load_packaged(COMPACT, path)


def packaged_trunk_info() -> dict[str, str]:
    """Return name and sha256 of each trunk weights file that ships with the package."""
    found = {}
    for name in PACKAGED:
        with resources.as_file(_packaged(name)) as file:
            found[f"trunk {name}"] = file_sha256(file)
    return found


def load_vgg16(path: Path | str | None = None, *, download: bool = True) -> Trunk:
    """Return VGG-16's trunk with ImageNet weights.

    Looked for in this order: `path`, the file named by LESIONGRAPH_VGG16_WEIGHTS, the cache of an
    earlier download, and, where `download` allows it, a download.

    Raises
    ------
    WeightsError
        If none of these gives the weights, or the file is not VGG-16's.
    """
    given = path or os.environ.get(WEIGHTS_ENV)
    if given:
        return _load(VGG16, Path(given), str(given))
    cached = _cache_dir() / CACHED_NAME
    if not cached.is_file():
        if not download:
            raise WeightsError("VGG-16 weights", "a file", "none given and none in the cache", NEXT_STEP)
        cached = download_vgg16(_cache_dir())
    return _load(VGG16, cached, VGG16_URL)


def download_vgg16(cache_dir: Path | str) -> Path:
    """Download torchvision's VGG-16 features once, check their sha256, keep only the convolutions.

    Returns
    -------
    Path
        A safetensors file in `cache_dir`; one that is there already is returned as it is.

    Raises
    ------
    WeightsError
        If the download fails or its sha256 is not the expected one.
    """
    target = Path(cache_dir) / CACHED_NAME
    if target.is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    raw = target.with_suffix(f".{os.getpid()}.pth")
    try:
        _download(VGG16_URL, raw, VGG16_SHA256_PREFIX)
        state = _read_state(raw)
        wanted = {name: state[name].contiguous() for name in Trunk(VGG16).state_dict()}
        write_safetensors(target, wanted, {"origin": VGG16_URL})
    except (OSError, RuntimeError, KeyError) as error:  # no network, wrong sha256, other content
        raise WeightsError("VGG-16 weights", f"a download of {VGG16_URL}", str(error), NEXT_STEP) from error
    finally:
        raw.unlink(missing_ok=True)
    return target


def _download(url: str, target: Path, sha256_prefix: str) -> None:
    """Download a file and check its sha256; a server that stays silent is given up."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE_S)  # torch.hub takes no timeout of its own
    try:
        torch.hub.download_url_to_file(url, str(target), hash_prefix=sha256_prefix, progress=False)
    finally:
        socket.setdefaulttimeout(before)


def write_safetensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file so that a kill leaves either the old file or the new one."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        save_file({name: tensor.contiguous().cpu() for name, tensor in tensors.items()}, part, metadata)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def state_sha256(state: Mapping[str, Tensor]) -> str:
    """Return one sha256 over the values of a state, for weights that come from no file."""
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _load(variant: TrunkVariant, path: Path, origin: str) -> Trunk:
    trunk = Trunk(variant)
    expected = {name: tuple(value.shape) for name, value in trunk.state_dict().items()}
    state = {name: value for name, value in _read_state(path).items() if name in expected}
    wrong = [
        name for name, shape in expected.items() if name not in state or tuple(state[name].shape) != shape
    ]
    if wrong:
        found = tuple(state[wrong[0]].shape) if wrong[0] in state else "no such tensor"
        raise WeightsError(
            f"{path}: {variant.name} weights",
            f"{wrong[0]} of shape {expected[wrong[0]]}",
            str(found),
            NEXT_STEP,
        )
    bad = [name for name, value in state.items() if not bool(torch.isfinite(value).all())]
    if bad:
        raise WeightsError(f"{path}: {variant.name} weights", "finite numbers", f"NaN in {bad[0]}", NEXT_STEP)
    trunk.load_state_dict({name: value.float() for name, value in state.items()})
    trunk.origin, trunk.sha256 = origin, file_sha256(path)
    return trunk.to(choose_device()).eval()


def _read_state(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise WeightsError(f"{path}", "a weights file", "no such file", NEXT_STEP)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, ValueError, EOFError, OSError, KeyError) as error:
        raise WeightsError(f"{path}", "readable weights", str(error).split("\n")[0], NEXT_STEP) from error
    except Exception as error:
        if type(error).__name__ != "UnpicklingError":  # what torch raises for a file that is no checkpoint
            raise
        raise WeightsError(f"{path}", "a .pth file", "something else", NEXT_STEP) from error
    if not isinstance(state, dict):
        raise WeightsError(f"{path}", "a dictionary of tensors", type(state).__name__, NEXT_STEP)
    return {str(name): value for name, value in state.items() if isinstance(value, Tensor)}


def read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata of a safetensors file.

    Raises
    ------
    WeightsError
        If it is not such a file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path}", "a safetensors file", str(error), "Train again, or give another path."
        ) from error


def _load_packaged(variant: TrunkVariant, path: Path | str | None) -> Trunk:
    if path is not None:
        return _load(variant, Path(path), str(path))
    with resources.as_file(_packaged(variant.name)) as file:
        return _load(variant, file, _ORIGINS[variant.name])


def _packaged(name: str) -> Traversable:
    return resources.files("lesiongraph.embedding") / "weights" / f"{name}_trunk.safetensors"


def _cache_dir() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "lesiongraph"
