"""Table 1 as the paper prints it: DeepLesion's test set, five trainings a row."""

from __future__ import annotations

PAPER_LESIONS = 4927
# (mean, standard deviation) in percent: type, location, size ARE, purity, NMI, accuracy; rows by the names
# of `reproduce_rows.ROWS`. The baselines are not trained and have no deviation.
PAPER_TABLE1: dict[str, tuple[tuple[float, float | None], ...]] = {
    "imagenet": ((15.2, None), (9.6, None), (6.9, None), (58.7, None), (35.8, None), (86.2, None)),
    "location-feature": ((22.4, None), (2.5, None), (8.8, None), (51.6, None), (32.6, None), (59.7, None)),
    "type": ((8.8, 0.2), (10.8, 0.2), (5.7, 0.1), (84.7, 2.8), (71.5, 1.7), (89.5, 0.3)),
    "location": ((13.0, 0.1), (6.5, 0.1), (6.2, 0.1), (61.1, 4.4), (39.5, 4.3), (87.8, 0.5)),
    "type+location": ((8.7, 0.2), (7.2, 0.1), (6.0, 0.1), (81.3, 4.7), (68.0, 2.4), (89.9, 0.3)),
    "all": ((8.5, 0.1), (7.2, 0.0), (5.1, 0.0), (86.0, 3.9), (72.4, 4.6), (90.5, 0.2)),
    "conv5": ((11.5, 0.2), (7.1, 0.1), (6.3, 0.0), (79.8, 0.6), (64.8, 1.2), (86.6, 0.4)),
    "conv5+conv4": ((9.7, 0.2), (7.0, 0.0), (5.4, 0.1), (82.4, 3.3), (67.9, 2.2), (89.0, 0.6)),
    "no-refinement": ((8.7, 0.2), (7.3, 0.0), (5.2, 0.1), (85.4, 2.8), (69.8, 2.0), (90.2, 0.2)),
}
