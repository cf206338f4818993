"""`avsim add-audio MODEL --audio-codec DIR --out DIR`: an audio tower beside a silent video model."""

import argparse

from avsim.cli import local_path, model, whole


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the subcommand's arguments."""
    parser = subparsers.add_parser(
        "add-audio",
        help="put an audio tower beside a silent video model",
        description="Put an audio tower beside a video diffusion transformer (Wan, LTX-Video, avsim's own), "
        "fused by cross-attention of zero output: its video is unchanged until it is trained (avsim encode "
        "--model DIR, then avsim fit --init DIR).",
    )
    parser.add_argument(
        "model", type=model, metavar="MODEL", help="a pipeline's folder, owner/name on the hub, or an own run"
    )
    parser.add_argument(
        "--audio-codec", type=local_path, required=True, metavar="DIR", help="its run or folder"
    )
    parser.add_argument(
        "--width", type=whole(8, 65536), default=1024, help="of the tower (default %(default)s)"
    )
    parser.add_argument(
        "--depth", type=whole(1, 1000), help="blocks of the tower (default: the video model's)"
    )
    parser.add_argument("--heads", type=whole(1, 1024), help="of the tower (default: 64 wide each)")
    parser.add_argument(
        "--every", type=whole(1, 1000), default=1, help="fusion at every K-th block (default %(default)s)"
    )
    parser.add_argument(
        "--patch", type=whole(1, 64), default=1, help="audio latents per token (default %(default)s)"
    )
    parser.add_argument(
        "--fusion",
        choices=("both", "to-audio"),
        default="both",
        help="to-audio keeps the video model's output as it is for good (default %(default)s)",
    )
    parser.add_argument(
        "--text", type=local_path, metavar="DIR", help="another text encoder, from avsim import --part text"
    )
    parser.add_argument(
        "--text-length", type=whole(1, 4096), help="tokens of a caption (default: the model's)"
    )
    parser.add_argument(
        "--seed", type=whole(0), default=0, help="of the tower's weights (default %(default)s)"
    )
    parser.add_argument("--out", type=local_path, required=True, metavar="DIR", help="folder for the model")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Add the tower, write the model with its codecs, and print its size."""
    import torch

    from avsim.models.joint_generator import JointGenerator
    from avsim.models.joint_transformer import add_audio
    from avsim.models.pipelines import empty_text, load_video_model
    from avsim.weights import load_model, part_folder, save_model

    codec = load_model(part_folder(arguments.audio_codec, "audio_codec"))
    text = None if arguments.text is None else str(arguments.text)
    found = load_video_model(arguments.model, text, arguments.text_length)
    torch.manual_seed(arguments.seed)
    joint = add_audio(
        found.backbone, codec.channels, arguments.width, arguments.every, arguments.depth, arguments.heads,
        arguments.patch, to_video=arguments.fusion == "both",
    )  # fmt: skip
    joint.video_source = found.source
    joint.freeze_video()
    empty = empty_text(found)
    generator = JointGenerator(joint, found.text_config, found.text_length, empty, found.shift)
    source = {"source": arguments.model}
    spec = {**found.spec, "sample_rate": codec.sample_rate}
    save_model(generator, arguments.out / "generator", **source, spec=spec)
    save_model(codec, arguments.out / "audio_codec")
    if found.video_codec is not None:
        save_model(found.video_codec, arguments.out / "video_codec", **source)

    def millions(*parts: torch.nn.Module) -> str:
        return f"{sum(weight.numel() for part in parts for weight in part.parameters()) / 1e6:,.1f} M"

    print(
        f"{type(found.backbone.transformer).__name__} of {millions(joint.video)} parameters, "  # type: ignore[attr-defined]
        f"audio tower of {millions(joint.audio)}, fusion of {millions(joint.fusion)} -> {arguments.out}"
    )
