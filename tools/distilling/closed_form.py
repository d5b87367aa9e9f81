"""A good start without training: each narrow convolution regressed from the teacher's responses."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from lesiongraph.embedding import Trunk

CELLS = 24_000  # map cells that each regression sees


def choose_channels(responses: Tensor, count: int) -> Tensor:
    """Choose the channels that together explain most of all channels' variance, greedily.

    `responses` (n, C) after ReLU; each choice is the channel whose removal from all residuals (by
    regression on it) takes away most.
    """
    centred = (responses - responses.mean(0)).double()
    gram = centred.T @ centred / len(centred)
    floor = gram.diagonal().max() * 1e-9
    chosen: list[int] = []
    for _ in range(count):
        gain = gram.square().sum(0) / gram.diagonal().clamp(min=floor)
        gain[chosen] = -1
        best = int(gain.argmax())
        chosen.append(best)
        column = gram[:, best].clone()
        gram -= torch.outer(column, column) / column[best].clamp(min=floor)
    return torch.tensor(sorted(chosen))


def regress(inputs: Tensor, targets: Tensor, ridge: float = 1e-4) -> tuple[Tensor, Tensor]:
    """Least squares with intercept: weights (out, in) and bias (out,)."""
    inputs, targets = inputs.double(), targets.double()
    mean_in, mean_out = inputs.mean(0), targets.mean(0)
    centred = inputs - mean_in
    gram = centred.T @ centred / len(inputs)
    gram += ridge * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
    weights = torch.linalg.solve(gram, centred.T @ (targets - mean_out) / len(inputs)).T
    return weights.float(), (mean_out - weights @ mean_in).float()


def set_in_closed_form(student: Trunk, teacher: Trunk, hu: Tensor, rng: np.random.Generator) -> None:
    """Set every convolution of the student from the teacher's responses to `hu` (B, 3, H, W)."""
    x_teacher = x_student = teacher.prepare(hu)
    for layer_teacher, layer_student in zip(teacher.features, student.features, strict=True):
        if isinstance(layer_teacher, nn.Conv2d) and isinstance(layer_student, nn.Conv2d):
            before = layer_teacher(x_teacher)
            batch, channels, height, width = before.shape
            cells = rng.choice(batch * height * width, min(CELLS, batch * height * width), replace=False)
            chosen_cells = torch.from_numpy(cells)
            flat = before.permute(0, 2, 3, 1).reshape(-1, channels)[chosen_cells]
            wanted = choose_channels(functional.relu(flat), layer_student.out_channels)
            columns = _neighbourhoods(x_student, chosen_cells)
            weights, bias = regress(columns, flat[:, wanted])
            layer_student.weight.copy_(weights.view_as(layer_student.weight))
            assert layer_student.bias is not None
            layer_student.bias.copy_(bias)
            x_teacher, x_student = functional.relu(before), functional.relu(layer_student(x_student))
        elif isinstance(layer_teacher, nn.MaxPool2d):
            x_teacher, x_student = layer_teacher(x_teacher), layer_teacher(x_student)


def _neighbourhoods(x: Tensor, cells: Tensor) -> Tensor:
    """Return the 3×3 neighbourhoods (n, 9·C) of the chosen cells, ordered as a convolution's weight."""
    channels, height, width = x.shape[1:]
    padded = functional.pad(x, (1, 1, 1, 1)).permute(0, 2, 3, 1)
    image, rest = cells // (height * width), cells % (height * width)
    row, column = rest // width, rest % width
    parts = [padded[image, row + dy, column + dx] for dy in range(3) for dx in range(3)]
    return torch.stack(parts, dim=2).reshape(len(cells), channels * 9)
