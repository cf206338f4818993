"""The generator's speed, against this machine's GEMM rate and against LTX-2's transformer.

    python experiments/benchmarks/generator.py [--threads 2] [--batch 8] [--seconds 3] [--dtype float32]

One run prints the machine's GEMM rate; the model FLOP/s of a training step and of a sampler step, and their
share of that rate, eager and compiled; and tokens a second beside diffusers' LTX-2 transformer of the same
width, depth and tokens, treated alike: both compiled block by block, both with the text encoded before.

FLOPs are counted by torch.utils.flop_counter on the eager pass. Every time is the best of several, in turns,
since machines are shared; one thread on a CPU is timed by the CPU time it got. A training step is forward and
backward, ours with a level per time step. The dtype is whichever of
bfloat16 and float32 this machine multiplies faster (a CPU without AVX512-BF16 or AMX multiplies bfloat16 a
hundred times slower), unless one is named.
"""

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from avsim.clip import ClipSpec, LatentSpec
from avsim.memory import keep_freed
from avsim.models.couplings import Coupling, CrossCoupling, JointCoupling
from avsim.models.joint import JointDiT
from avsim.models.pair import Pair
from avsim.models.tokens import lengths

# 33 frames at 16 fps: 9 x 8 x 8 video and 66 audio tokens.
SPEC = LatentSpec(ClipSpec(seconds=33 / 16))
WIDTH, HEADS, BLOCKS, WORDS = 192, 6, 8, 32


def forward_flops(q: torch.Size, k: torch.Size, v: torch.Size, *_: Any, **__: Any) -> int:
    """Of attention on a CPU, which flop_counter leaves out."""
    return sdpa_flop_count(q, k, v)


def backward_flops(
    gradient: torch.Size, q: torch.Size, k: torch.Size, v: torch.Size, *_: Any, **__: Any
) -> int:
    """FLOPs of its backward pass."""
    return sdpa_backward_flop_count(gradient, q, k, v)


ON_CPU = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: forward_flops,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: backward_flops,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--batch", type=int, default=8, help="clips at a time")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement, at most")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"])
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed()  # as `avsim` does
    device, batch = torch.device(arguments.device), arguments.batch

    gemm = {dtype: gemm_rate(dtype, device) for dtype in (torch.bfloat16, torch.float32)}
    dtype = getattr(torch, arguments.dtype) if arguments.dtype else max(gemm, key=lambda dtype: gemm[dtype])
    print(f"{device}, {arguments.threads} threads, torch {torch.__version__}")
    print(f"{batch} clips of {lengths(SPEC)} tokens, {BLOCKS} blocks, two streams of {WIDTH}")
    for each, rate in gemm.items():
        print(f"GEMM 1024^3 {str(each)[6:]:9}{rate / 1e9:10.1f} GFLOP/s{'  <- used below' * (each == dtype)}")

    contestants: dict[str, Any] = {}
    for name, make in {
        "avsim joint": lambda: ours(JointCoupling, batch, device),
        "avsim cross": lambda: ours(CrossCoupling, batch, device),
        "LTX2 (diffusers)": lambda: ltx2(batch, device),
    }.items():
        for compiled in (False, True):
            model, forward = make()
            if compiled:
                compile_blocks(model)
            contestants[f"{name}, {'compiled' if compiled else 'eager'}"] = (model, forward)
    cast = torch.autocast(device.type, dtype) if dtype != torch.float32 else nullcontext()
    tokens = batch * sum(lengths(SPEC))
    for title, prepare in {"training step": training, "sampler step": sampling}.items():
        runs = {name: prepare(model, forward, cast) for name, (model, forward) in contestants.items()}
        flops = {name: count(run) for name, run in runs.items() if name.endswith("eager")}
        seconds = best_of(runs, arguments.seconds, device)
        print(f"\n{title:28}{'ms':>9}{'GFLOP':>9}{'GFLOP/s':>10}{'of GEMM':>9}{'tokens/s':>11}{'x LTX2':>8}")
        for name, took in seconds.items():
            work = flops[name.replace("compiled", "eager")]
            rival = seconds[f"LTX2 (diffusers), {name.split(', ')[1]}"]
            print(
                f"{name:28}{took * 1e3:9.1f}{work / 1e9:9.2f}{work / took / 1e9:10.1f}"
                f"{work / took / gemm[dtype]:9.2f}{tokens / took:11.0f}{rival / took:8.2f}"
            )


def gemm_rate(dtype: torch.dtype, device: torch.device, size: int = 1024) -> float:
    """The best FLOP/s of a square matrix product."""
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    took = best_of({"GEMM": lambda: a @ b}, 1.5, device)["GEMM"]
    return 2 * size**3 / took


def ours(coupling: type[Coupling], batch: int, device: torch.device) -> tuple[nn.Module, Callable[..., Any]]:
    """A `JointDiT`, and a forward that gives its velocities; constants of a clip are computed before."""
    model = JointDiT(width=WIDTH, heads=HEADS, blocks=BLOCKS, coupling=coupling).to(device)
    waken(model)
    sizes = Pair(*zip(lengths(SPEC), model.channels, strict=True))
    x = sizes.each(lambda size: torch.randn(batch, *size, device=device))
    by_clip = x.each(lambda x: torch.rand(batch, 1, device=device))
    by_step = Pair(*(torch.rand(batch, steps, device=device) for steps in (SPEC.video[0], SPEC.audio)))
    with torch.no_grad():
        context = model.context([""] * batch, SPEC)

    def forward() -> list[Tensor]:
        if model.training:
            return model(x, by_step, context).present()
        return model(x, by_clip, context).present()

    return model, forward


def ltx2(batch: int, device: torch.device) -> tuple[nn.Module, Callable[..., Any]]:
    """LTX-2's transformer of the same width, depth and tokens, and a forward that gives its velocities."""
    from diffusers import LTX2VideoTransformer3DModel

    model = LTX2VideoTransformer3DModel(
        in_channels=16, out_channels=16, num_attention_heads=HEADS, attention_head_dim=WIDTH // HEADS,
        cross_attention_dim=WIDTH, num_layers=BLOCKS, audio_in_channels=16, audio_out_channels=16,
        audio_num_attention_heads=HEADS, audio_attention_head_dim=WIDTH // HEADS,
        audio_cross_attention_dim=WIDTH,
        caption_channels=96, vae_scale_factors=(4, 8, 8), audio_hop_length=500,
    ).to(device)  # fmt: skip
    waken(model)
    video, audio = lengths(SPEC)
    inputs = dict(
        hidden_states=torch.randn(batch, video, 16, device=device),
        audio_hidden_states=torch.randn(batch, audio, 16, device=device),
        encoder_hidden_states=torch.randn(batch, WORDS, 96, device=device),
        audio_encoder_hidden_states=torch.randn(batch, WORDS, 96, device=device),
        timestep=torch.rand(batch, 1, device=device) * 1000,
        encoder_attention_mask=torch.ones(batch, WORDS, device=device),
        audio_encoder_attention_mask=torch.ones(batch, WORDS, device=device),
        num_frames=9, height=8, width=8, fps=16.0, audio_num_frames=audio, return_dict=False,
    )  # fmt: skip
    return model, lambda: model(**inputs)


def compile_blocks(model: nn.Module) -> None:
    """Compile the repeated blocks of either model."""
    blocks: Any = model.blocks if isinstance(model, JointDiT) else model.transformer_blocks
    for block in blocks:
        block.compile(dynamic=False)


def waken(model: nn.Module) -> None:
    """Small random weights everywhere, so that all of them have gradients."""
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.02)


def training(model: nn.Module, forward: Callable[[], Any], cast: Any) -> Callable[[], None]:
    """Forward and backward of a plain loss."""

    def run() -> None:
        model.train()
        model.zero_grad(set_to_none=True)
        with cast:
            outputs = forward()
        sum(output.float().square().mean() for output in outputs).backward()

    return run


def sampling(model: nn.Module, forward: Callable[[], Any], cast: Any) -> Callable[[], None]:
    """Forward alone, as a sampler calls it."""

    def run() -> None:
        model.eval()
        with torch.no_grad(), cast:
            forward()

    return run


def count(run: Callable[[], None]) -> int:
    """FLOPs of one run."""
    with FlopCounterMode(display=False, custom_mapping=ON_CPU) as counter:
        run()
    return counter.get_total_flops()


def best_of(runs: dict[str, Callable[[], Any]], seconds: float, device: torch.device) -> dict[str, float]:
    """The shortest time of each run, in turns, `seconds` for each in all and at least 3 times."""
    alone = device.type == "cpu" and torch.get_num_threads() == 1
    clock = time.process_time if alone else time.perf_counter
    best = dict.fromkeys(runs, float("inf"))
    for name, run in runs.items():
        print(f"warming up {name}", end="\r", file=sys.stderr, flush=True)
        run(), run()  # compile, allocate
    start, rounds = time.perf_counter(), 0
    while rounds < 3 or time.perf_counter() - start < seconds * len(runs):
        for name, run in runs.items():
            wait(device)
            began = clock()
            run()
            wait(device)
            best[name] = min(best[name], clock() - began)
        rounds += 1
    return best


def wait(device: torch.device) -> None:
    """Wait until the device has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
