"""The stages a small workspace is taken through, and the few steps its training takes."""

NUMBERS = {"steps": 12, "refinement_steps": 4, "sequences_per_batch": 6, "t_low": 0.5, "t_high": 0.5}
TRAINING = tuple(word for key, value in NUMBERS.items() for word in ("--set", f"{key}={value}"))
STAGES = (
    ("locate", "--workers", "1"),
    ("train", "--preset", "demo", *TRAINING),
    ("embed",),
    ("match",),
)
