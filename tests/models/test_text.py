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
