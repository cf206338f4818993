"""`avsim import NAME --part PART --out DIR`: a codec or text encoder of others, as a folder of avsim's."""

import argparse

from avsim.cli import local_path, model, whole

PARTS = ("video_codec", "audio_codec", "text")


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the subcommand's arguments."""
    parser = subparsers.add_parser(
        "import",
        help="take a pretrained codec or text encoder from a model on the hub or in a folder",
        description="Take one part of a pipeline of diffusers, or of a model of transformers, written as "
        "avsim's other commands take it. Video: Wan, LTX-2, CogVideoX. Audio: Oobleck, DAC, EnCodec, LTX-2 "
        "with its vocoder. Text: T5, UMT5, CLIP, Gemma, Qwen and other encoders.",
    )
    parser.add_argument("name", type=model, metavar="NAME", help="a local folder, or owner/name on the hub")
    parser.add_argument("--part", choices=PARTS, required=True, help="what to take")
    parser.add_argument("--out", type=local_path, required=True, metavar="DIR", help="folder for it")
    parser.add_argument(
        "--length", type=whole(1, 4096), help="of text: tokens that a caption is cut to (default 256)"
    )
    parser.add_argument(
        "--layer",
        type=whole(-1000, 1000),
        action="append",
        help="of text: a hidden state to take, 0 the embeddings, -1 the last; may be given again, all are "
        "concatenated (default: the encoder's output)",
    )
    parser.add_argument(
        "--statistics",
        type=local_path,
        metavar="DIR",
        help="of DAC and EnCodec: a folder of audio or video files on which the latents' mean and deviation "
        "are measured",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Import the part and print what it is."""
    from avsim.errors import InputError
    from avsim.models.importing import import_codec, import_text, save_codec

    if arguments.part == "text":
        if arguments.statistics is not None:
            raise InputError("--statistics is of audio codecs; --part is text")
        encoder = import_text(arguments.name, arguments.out, arguments.length or 256, arguments.layer)
        print(f"text embeddings {encoder.width} wide, {encoder.length} tokens -> {arguments.out}")
        return
    for option in ("length", "layer"):
        if getattr(arguments, option) is not None:
            raise InputError(f"--{option} is of text encoders; --part is {arguments.part}")
    codec = import_codec(arguments.name, arguments.part)
    if arguments.statistics is not None:
        if not hasattr(codec, "observe"):
            raise InputError(f"--statistics: a {type(codec).__name__} has statistics of its own")
        codec.observe(waves_of(arguments.statistics, codec))  # type: ignore[operator]
    save_codec(codec, arguments.name, arguments.out)
    if arguments.part == "video_codec":
        strides = f"{codec.space_stride} x {codec.space_stride} x {codec.time_stride}"
        print(f"video latents of {codec.channels} channels, {strides} smaller -> {arguments.out}")
    else:
        print(
            f"audio latents of {codec.channels} channels, every {codec.hop} samples at "
            f"{codec.sample_rate} Hz -> {arguments.out}"
        )


def waves_of(folder, codec):  # type: ignore[no-untyped-def]
    """The sounds of a folder's files at the codec's rate and channels, each at most 10 s."""
    from avsim import media
    from avsim.errors import InputError

    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        try:
            clip = media.read(path, seconds=10.0, sample_rate=codec.sample_rate, want="wave")
        except InputError:
            continue  # no audio in it
        assert clip.wave is not None
        if clip.wave.shape[1] >= codec.hop:
            yield clip.wave[:2]
