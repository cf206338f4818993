"""Tiny random transformers of the classes in diffusers."""

import torch

from avsim.clip import ClipSpec, LatentSpec


def randomised(model, seed=0):
    """The model with weights that leave nothing at zero, so that a block that is left out is noticed."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.02 * torch.randn(weight.shape, generator=random, dtype=weight.dtype))
    return model.eval()


def wan(**options):
    """A Wan transformer: 2.1 by default, 2.2 TI2V by its channels."""
    from diffusers import WanTransformer3DModel

    config = {
        "patch_size": (1, 2, 2), "num_attention_heads": 2, "attention_head_dim": 12, "in_channels": 4,
        "out_channels": 4, "text_dim": 20, "freq_dim": 16, "ffn_dim": 40, "num_layers": 3,
        "rope_max_seq_len": 64,
    }  # fmt: skip
    return randomised(WanTransformer3DModel(**config | options))


def ltx_video(**options):
    """An LTX-Video transformer."""
    from diffusers import LTXVideoTransformer3DModel

    config = {
        "in_channels": 8, "out_channels": 8, "num_attention_heads": 2, "attention_head_dim": 16,
        "cross_attention_dim": 32, "num_layers": 3, "caption_channels": 20,
    }  # fmt: skip
    return randomised(LTXVideoTransformer3DModel(**config | options))


def spec_of(t, h, w, latents=9, time_stride=4, space_stride=8, frames_per_second=12.0):
    """A spec whose video latents are (t, h, w), with `latents` audio latents."""
    frames = 1 + time_stride * (t - 1)
    rate = int(latents * 10 * frames_per_second / frames)
    size = h * space_stride, w * space_stride
    clip = ClipSpec(frames / frames_per_second, *size, frames_per_second, sample_rate=rate)
    spec = LatentSpec(clip, time_stride, space_stride, hop=10)
    assert spec.video == (t, h, w) and spec.audio == latents
    return spec


def pipeline(folder, kind="wan 2.1"):
    """A silent text-to-video pipeline in diffusers' format: transformer, vae, text encoder, scheduler."""
    import json

    import tokenizers
    import transformers
    from diffusers import AutoencoderKLLTXVideo, AutoencoderKLWan, FlowMatchEulerDiscreteScheduler

    torch.manual_seed(0)
    if kind == "ltx-video":
        vae = AutoencoderKLLTXVideo(
            latent_channels=8, block_out_channels=(8, 8, 8, 8), decoder_block_out_channels=(8, 8, 8, 8),
            layers_per_block=(1, 1, 1, 1, 1), decoder_layers_per_block=(1, 1, 1, 1, 1),
        )  # fmt: skip
        transformer = ltx_video(caption_channels=16)
    else:
        vae = AutoencoderKLWan(base_dim=4, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1)
        transformer = wan(in_channels=16, out_channels=16, text_dim=16)
    vae.save_pretrained(folder / "vae")
    transformer.save_pretrained(folder / "transformer")
    FlowMatchEulerDiscreteScheduler(shift=3.0).save_pretrained(folder / "scheduler")
    words = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({"<pad>": 0, "<unk>": 1, "</s>": 2, "a": 3}, unk_token="<unk>")
    )
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    words.post_processor = tokenizers.processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 2)]
    )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", unk_token="<unk>", eos_token="</s>"
    ).save_pretrained(folder / "tokenizer")
    config = transformers.UMT5Config(vocab_size=5, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    transformers.UMT5EncoderModel(config).save_pretrained(folder / "text_encoder")
    index = {"_class_name": "WanPipeline", "expand_timesteps": kind == "wan 2.2"}
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder
