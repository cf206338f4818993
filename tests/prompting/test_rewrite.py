"""Ordinary sentences, as people write them, become the captions that say the same."""

import time
from pathlib import Path

import pytest

from avsim import InputError
from avsim.prompting import rewrite, rewrite_prompt
from avsim.prompting.rules import facts_of_prompt
from avsim.world.captions.parsing import facts_in

TABLE = Path(__file__).parent


def rows(language: str) -> list[tuple[str, str]]:
    """Prompts and captions of the same facts."""
    lines = (TABLE / f"{language}.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split(" => ") for line in lines if line and not line.startswith("#")]
    return [(prompt.strip(), caption.strip()) for prompt, caption in pairs]


@pytest.mark.parametrize(("prompt", "caption"), [*rows("english"), *rows("chinese")])
def test_a_paraphrase_becomes_a_caption_of_the_same_facts(prompt, caption):
    assert facts_in(rewrite(prompt)) == facts_in(caption)


def test_the_tables_are_long_enough():
    assert len(rows("english")) >= 60 and len(rows("chinese")) >= 30


@pytest.mark.parametrize("language", ["english", "chinese"])
def test_a_caption_and_what_was_rewritten_come_back_unchanged(language):
    for prompt, caption in rows(language):
        assert rewrite(caption) == caption
        assert rewrite(rewrite(prompt)) == rewrite(prompt)


@pytest.mark.parametrize(
    ("prompt", "negative"),
    [
        ("a violin plays, no trumpet", "trumpet"),
        ("someone plays the cello without people", "people"),
        ("a ball falls in a cave without any trumpet or red drum", "trumpet, red drum"),
        ("hit the bell, but no dragons", "dragons"),
        ("吹萨克斯，不要小号", "trumpet"),
        ("a bell is struck", ""),
    ],
)
def test_negations_become_a_negative_prompt(prompt, negative):
    found = rewrite_prompt(prompt)
    assert found.negative_prompt == negative
    assert "trumpet" not in found.prompt and found.prompt


@pytest.mark.parametrize(
    ("prompt", "dropped"),
    [
        ("a beautiful bell is struck", ("beautiful",)),
        ("a piano and a violin play", ("piano",)),
        ("a red ball falls slowly", ("slowly",)),
        ("a dragon flies", ("dragon", "flies")),
        ("a red ball falls", ()),
        ("一条龙在敲铃", ("龙",)),
    ],
)
def test_words_that_no_fact_has_are_dropped_and_reported(prompt, dropped):
    assert rewrite_prompt(prompt).dropped == dropped


@pytest.mark.parametrize("word", ["call", "bull", "mall", "sofa", "viola", "cymbal", "hello", "stale"])
def test_real_words_are_not_taken_for_misspelt_ones(word):
    assert rewrite_prompt(f"a {word}").prompt == ""


def test_things_in_order_start_one_after_another():
    things = facts_in(rewrite("hit a bell, then drop a ball, and finally play a flute")).things
    assert [thing.noun.kind for thing in things] == ["bell", "ball", "flute"]
    assert 0 <= things[0].seconds < things[1].seconds < things[2].seconds < 2


@pytest.mark.parametrize(
    "prompt",
    [
        "", "   ", "...", "🎉🎉🎉", "مرحبا بالعالم", "שלום a bell is struck", "\u202ea bell\u202c", "12 34",
        "a bell 🔔 is struck 👊 twice", "\x00\x01", "ring", "the the the", "no", "then then before after",
        "without", "half a second", "the camera", "not not a bell", "。。。", "一", "两个", "然后然后",
    ],
)  # fmt: skip
def test_any_prompt_has_an_answer_that_is_a_caption_or_empty(prompt):
    answer = rewrite(prompt)
    assert answer == prompt or not answer.strip() or facts_in(answer)


def test_emoji_and_other_scripts_do_not_hide_the_words_between():
    assert facts_in(rewrite("a bell 🔔 is struck 👊 twice")) == facts_in("a bell is struck twice")
    assert facts_in(rewrite("שלום a bell is struck")) == facts_in("a bell is struck")


@pytest.mark.parametrize(
    "prompt", ["a red ball falls and " * 500, "xq zv wk jp " * 900, "abcdefgh" * 1250, "敲铃然后" * 2500,
               "no " * 4000]
)  # fmt: skip
def test_ten_thousand_characters_take_a_moment(prompt):
    assert len(prompt) >= 10000
    start = time.process_time()
    answer = rewrite(prompt)
    assert time.process_time() - start < 5
    assert not answer or len(facts_in(answer).things) <= 4


def test_checkpoints_of_other_clips_take_prompts_as_they_are(tmp_path):
    (tmp_path / "video_codec").mkdir()
    (tmp_path / "video_codec" / "config.json").write_text("{}")
    assert rewrite("drop a red ball on the lawn", tmp_path) == "drop a red ball on the lawn"
    with pytest.raises(InputError, match="no such folder"):
        rewrite("a bell", tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("prompt", "word"),
    [("a gong is struck", "gong"), ("drop a piano", "piano"), ("a dragon plays", "dragon")],
)
def test_a_strict_reading_names_the_word_that_stopped_it(prompt, word):
    with pytest.raises(InputError, match=f"unknown word '{word}'"):
        facts_of_prompt(prompt)
