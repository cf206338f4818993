import pytest
import torch

from avsim.errors import InputError
from avsim.models.text import NGRAMS, PretrainedEncoder, WordEncoder, word_rows
from avsim.weights import load_model, save_model


def test_a_word_has_the_same_rows_in_every_process():
    assert word_rows("ball", 2048)[:4] == (1030, 479, 532, 1496)


def test_relatives_share_rows_and_strangers_do_not():
    rows = {word: set(word_rows(word, 1 << 30)) - {0} for word in ("bouncing", "bounces", "violin")}
    assert len(rows["bouncing"] & rows["bounces"]) >= 4
    assert not rows["bouncing"] & rows["violin"]
    assert len(word_rows("w" * 50, 2048)) == NGRAMS


def test_padding_is_masked_and_changes_nothing():
    torch.manual_seed(0)
    long = WordEncoder(width=32, layers=2, rows=64, length=16).eval()
    short = WordEncoder(width=32, layers=2, rows=64, length=6).eval()
    state = long.state_dict()
    short.load_state_dict({**state, "pos_embed": state["pos_embed"][:6]})
    captions = ["a red ball falls", "", "rain"]
    (wide, here), (narrow, there) = long(captions), short(captions)
    assert here.sum(1).tolist() == [5, 1, 2] and torch.equal(here[:, :6], there)
    torch.testing.assert_close(wide[here], narrow[there], rtol=1e-5, atol=1e-5)


def test_any_caption_can_be_read():
    encoder = WordEncoder(width=32, layers=1, rows=64, length=8)
    text, here = encoder(["word " * 10_000, "鐘が鳴る 🔔", "a,b;c", "\n"])
    assert text.shape == (4, 8, 32) and torch.isfinite(text).all()
    assert here[0].all() and here.any(1).all()


def test_strange_words_and_lost_ones_are_told():
    encoder = WordEncoder(width=32, layers=1, rows=64, length=8)
    assert encoder.check("A red rubber ball falls onto wood, from 0.4 s on.") == (16, [])
    assert encoder.check("a zeppelin hums; a zeppelin, 鐘が鳴る") == (9, ["zeppelin", "hums", "鐘が鳴る"])
    assert encoder.check("") == (1, [])
    assert encoder.check("a felt-tipped stick strikes a bell – twice…").unknown == []
    assert encoder.check("ball " * 10_000) == (10_001, [])


def test_order_of_words_matters():
    encoder = WordEncoder(width=32, layers=1, rows=64, length=8).eval()
    text, _ = encoder(["red left blue right", "blue left red right"])
    assert (text[0] - text[1]).abs().max() > 0.01


@pytest.fixture
def pretrained(tmp_path):
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    vocabulary = {word: i for i, word in enumerate(["<pad>", "<unk>", "a", "ball", "falls"])}
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", unk_token="<unk>"
    ).save_pretrained(tmp_path)
    torch.manual_seed(0)
    config = transformers.T5Config(
        vocab_size=5, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, decoder_start_token_id=0
    )
    transformers.T5Model(config).save_pretrained(tmp_path)
    return str(tmp_path)


@pytest.mark.slow  # importing transformers takes most of it
def test_a_pretrained_encoder_is_frozen_and_stays_out_of_the_weights(pretrained, make, tmp_path):
    encoder = PretrainedEncoder(pretrained, length=6)
    text, here = encoder.train()(["a ball falls", ""])
    assert text.shape == (2, 6, 16) and here.sum(1).tolist() == [3, 1]
    assert encoder.check("a zeppelin falls") == (3, ["zeppelin"])
    assert not text.requires_grad and not encoder.encoder.training
    model = make(awake=False, text=encoder)
    assert not any("encoder" in name for name in model.state_dict())
    again = load_model(save_model(model, tmp_path / "saved"))
    assert torch.equal(again.text(["a ball"])[0], encoder(["a ball"])[0])


@pytest.mark.slow
def test_no_encoder_at_a_name_is_one_clear_line(tmp_path):
    pytest.importorskip("transformers")
    with pytest.raises(InputError, match="no text encoder could be loaded"):
        PretrainedEncoder(str(tmp_path))


TINY = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
FAMILIES = {
    "UMT5": lambda t: t.UMT5EncoderModel(
        t.UMT5Config(vocab_size=5, d_model=16, d_kv=8, d_ff=32, num_layers=2)
    ),
    "CLIP": lambda t: t.CLIPTextModel(
        t.CLIPTextConfig(vocab_size=5, **TINY, eos_token_id=0, bos_token_id=0, pad_token_id=0)
    ),
    "CLIP, both halves": lambda t: t.CLIPModel(
        t.CLIPConfig(
            text_config={"vocab_size": 5, **TINY, "eos_token_id": 0},
            vision_config={**TINY, "image_size": 32, "patch_size": 16},
        )
    ),
    "Gemma 3": lambda t: t.Gemma3Model(
        t.Gemma3Config(
            text_config={"vocab_size": 5, **TINY, "head_dim": 8, "num_key_value_heads": 1, "pad_token_id": 0},
            vision_config={**TINY, "image_size": 32, "patch_size": 16},
        )
    ),
    "Qwen 2.5": lambda t: t.Qwen2Model(t.Qwen2Config(vocab_size=5, **TINY, num_key_value_heads=1)),
    "Qwen 2.5 VL": lambda t: t.Qwen2_5_VLModel(
        t.Qwen2_5_VLConfig(
            text_config={
                "vocab_size": 5, **TINY, "num_key_value_heads": 1, "pad_token_id": 0,
                "rope_scaling": {"type": "default", "mrope_section": [1, 1, 2]},
            },
            vision_config={"depth": 1, "hidden_size": 16, "num_heads": 2, "out_hidden_size": 16},
        )
    ),
    "Qwen 3": lambda t: t.Qwen3Model(
        t.Qwen3Config(vocab_size=5, **TINY, num_key_value_heads=1, head_dim=8, pad_token_id=0)
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_text_encoders_of_many_families_and_their_layers(pretrained, family, tmp_path):
    import transformers

    transformers.AutoTokenizer.from_pretrained(pretrained).save_pretrained(tmp_path / "pipeline/tokenizer")
    torch.manual_seed(0)
    FAMILIES[family](transformers).save_pretrained(tmp_path / "pipeline/text_encoder")
    folders = {"subfolder": "text_encoder", "tokenizer_subfolder": "tokenizer"}
    encoder = PretrainedEncoder(str(tmp_path / "pipeline"), length=6, **folders)
    text, here = encoder(["a ball falls", "a"])
    assert text.shape == (2, 6, 16) and here.sum(1).tolist() == [3, 1] and text.isfinite().all()
    both = PretrainedEncoder(str(tmp_path / "pipeline"), length=6, layers=[0, -1], **folders)
    states, _ = both(["a ball falls", "a"])
    assert states.shape == (2, 6, 32) == (2, 6, both.width)
    assert not torch.equal(states[..., :16], states[..., 16:])
    assert torch.equal(states[:, 0, :16][0], states[:, 0, :16][1])  # embeddings of the same first word
    with pytest.raises(InputError, match="has hidden states 0 to 2"):
        PretrainedEncoder(str(tmp_path / "pipeline"), layers=[9], **folders)
