"""What the device at hand is quick at."""

from contextlib import AbstractContextManager

import torch


def accelerator() -> str:
    """Where models go that are not trained here."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def fast_in_bfloat16(device: torch.device | str) -> bool:
    """Whether `device` multiplies faster in bfloat16 than in float32: GPUs since Ampere, CPUs with AVX-512's
    or AMX's instructions for it. A CPU without them is some sixty times slower.
    """
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if kind != "cpu":
        return False
    known: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()  # absent in older torch: no
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))


def autocast_if_faster(device: torch.device | str) -> AbstractContextManager:
    """Autocast to bfloat16 where that is quicker, else nothing; for models that are not trained here."""
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=fast_in_bfloat16(device))
