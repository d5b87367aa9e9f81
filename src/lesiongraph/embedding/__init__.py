"""Takes patches and lesion boxes, gives initial features and unit vectors (N, 1024) (Sec. 4.2–4.3, 6.1)."""

from lesiongraph.embedding.batch_losses import log_ratio_loss, supervised_contrastive_loss
from lesiongraph.embedding.batching import PatchLike
from lesiongraph.embedding.external import ExternalTrunk
from lesiongraph.embedding.external_loading import is_external, load_external
from lesiongraph.embedding.features import initial_features, initial_from_maps, map_shapes, pooled_maps
from lesiongraph.embedding.input_contract import InputContract
from lesiongraph.embedding.inputs import CachedLesions, LesionInputs, PatchLesions
from lesiongraph.embedding.loss import sequence_loss
from lesiongraph.embedding.model import (
    TrainedEmbedder,
    embed,
    load_packaged_embedder,
    packaged_embedder_info,
)
from lesiongraph.embedding.network import LesionEmbedder, choose_device, device_name
from lesiongraph.embedding.pooling import POOLS, Pool
from lesiongraph.embedding.roi_pool import roi_pool
from lesiongraph.embedding.training import Checkpointing, refine, train_embedder
from lesiongraph.embedding.trunk import (
    COMPACT,
    LESION,
    MAP_NAMES,
    NARROW,
    VGG16,
    MapScale,
    Trunk,
    TrunkLike,
    TrunkVariant,
)
from lesiongraph.embedding.weights import (
    WEIGHTS_ENV,
    download_vgg16,
    load_compact,
    load_narrow,
    load_trunk,
    load_vgg16,
    packaged_trunk_info,
)

__all__ = [
    "COMPACT",
    "LESION",
    "MAP_NAMES",
    "NARROW",
    "POOLS",
    "VGG16",
    "WEIGHTS_ENV",
    "CachedLesions",
    "Checkpointing",
    "ExternalTrunk",
    "InputContract",
    "LesionEmbedder",
    "LesionInputs",
    "MapScale",
    "PatchLesions",
    "PatchLike",
    "Pool",
    "TrainedEmbedder",
    "Trunk",
    "TrunkLike",
    "TrunkVariant",
    "choose_device",
    "device_name",
    "download_vgg16",
    "embed",
    "initial_features",
    "initial_from_maps",
    "is_external",
    "load_compact",
    "load_external",
    "load_narrow",
    "load_packaged_embedder",
    "load_trunk",
    "load_vgg16",
    "log_ratio_loss",
    "map_shapes",
    "packaged_embedder_info",
    "packaged_trunk_info",
    "pooled_maps",
    "refine",
    "roi_pool",
    "sequence_loss",
    "supervised_contrastive_loss",
    "train_embedder",
]
