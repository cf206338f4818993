"""Lightning's trainer as the tests of single systems use it: on the CPU, writing and printing nothing."""

from pathlib import Path
from typing import Any

import lightning as L


def quiet_trainer(folder: Path, steps: int, **options: Any) -> L.Trainer:
    return L.Trainer(
        max_steps=steps,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        accelerator="cpu",
        **options,
    )
