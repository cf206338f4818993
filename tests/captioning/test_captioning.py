"""`avsim caption`: captions by style beside videos and in shards, and in what is trained on."""

import json
import sys
import types

import pytest
import torch

from avsim import Clip, InputError
from avsim.__main__ import main
from avsim.captioning import caption_folder, caption_shards, captioner_of
from avsim.captioning.captioners import FRAMES, STYLES
from avsim.data.captions import Captions, sample_caption
from avsim.data.datamodule import ClipData, LatentData
from avsim.data.encode import encode
from avsim.data.prepare import prepare
from avsim.data.shards import ShardFolder
from avsim.data.sources import FolderSource, ShardSource
from avsim.seeds import generator
from avsim.weights import allowing
from avsim.world import WorldDataset
from avsim.world.captions.parsing import facts_in
from tests.captioning.tiny_vlm import save_tiny
from tests.data.conftest import film, shot

THREE = ("short", "full", "paraphrased")


def by_brightness(clip: Clip) -> dict[str, str]:
    level = round(10 * float(clip.frames.mean()))
    return {
        "short": f"level {level}",
        "full": f"a scene of level {level} of ten",
        "paraphrased": f"{level} of ten",
    }


@pytest.fixture
def plugin(monkeypatch):
    module = types.ModuleType("my_captions")
    module.calls = []

    def counted(clip):
        module.calls.append(clip)
        return by_brightness(clip)

    def fails(clip):
        raise RuntimeError("out of ideas")

    module.counted, module.fails, module.number = counted, fails, 3
    module.text = lambda clip: "  a  ball\nfalls "
    module.wrong = lambda clip: ["a ball"]
    module.silent = lambda clip: {"short": " "}
    monkeypatch.setitem(sys.modules, "my_captions", module)
    with allowing(["my_captions"]):
        yield module


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Two videos of five seconds, dark and bright, and two files that can't be read."""
    folder = tmp_path_factory.mktemp("videos")
    film(folder / "dark.mp4", shot(5, 0.2))
    film(folder / "bright.mp4", shot(3, 0.8), shot(2, 0.5))
    whole = (folder / "dark.mp4").read_bytes()
    (folder / "broken.mp4").write_bytes(whole[: len(whole) // 3])
    (folder / "empty.mp4").write_bytes(b"")
    return folder


@pytest.fixture
def copies(videos, tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    for path in videos.glob("*.mp4"):
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.fixture
def shards(copies, spec, tmp_path):
    (copies / "dark.txt").write_text("a dark scene")
    prepare([copies], tmp_path / "shards", spec, stride=1.0, validation=0.4, test=0.0)
    return tmp_path / "shards"


@pytest.fixture(scope="module")
def spec():
    from avsim.clip import ClipSpec

    return ClipSpec(1.0, 16, 16, 8.0, 16000, 2)


def test_videos_get_captions_of_each_span_beside_them(copies, plugin):
    made = caption_folder(copies, captioner_of("my_captions:counted"), "my_captions:counted")
    assert (made.written, made.kept) == (2, 0)
    assert sorted(made.passed_over) == [str(copies / "broken.mp4"), str(copies / "empty.mp4")]
    assert all(made.passed_over.values())
    captions = Captions.beside(copies / "bright.mp4")
    assert [(start, end) for start, end, _ in captions.styled] == [(0, 2), (2, 5)]
    assert captions.styles_at(0.0, 2.0)["short"] == "level 5"
    assert captions.at(0.5, 1.0) == "level 5" and captions.styles_at(10.0, 2.0) == {}
    assert tuple(captions.styles_at(3.0, 1.0)) == THREE


def test_a_second_run_captions_what_is_missing_and_another_captioner_all(copies, plugin):
    how = copies, captioner_of("my_captions:counted"), "my_captions:counted"
    caption_folder(*how)
    before, count = (copies / "bright.captions.json").read_bytes(), len(plugin.calls)
    (copies / "dark.captions.json").unlink()
    (copies / "bright.txt").write_text("mine")  # a user's own stays and comes first
    made = caption_folder(*how)
    assert (made.written, made.kept) == (1, 1) and len(plugin.calls) == count + 2
    assert (copies / "bright.captions.json").read_bytes() == before
    assert Captions.beside(copies / "bright.mp4").at(0, 2) == "mine"
    assert caption_folder(copies, captioner_of("my_captions:text"), "my_captions:text").written == 2
    assert Captions.beside(copies / "dark.mp4").styles_at(0, 2) == {"short": "a ball falls"}


def test_videos_that_differ_in_their_suffix_alone_do_not_share_captions(copies, plugin):
    (copies / "dark.mkv").write_bytes((copies / "bright.mp4").read_bytes())
    for _ in range(2):
        made = caption_folder(copies, captioner_of("my_captions:counted"), "my_captions:counted")
        assert made.passed_over[str(copies / "dark.mp4")].startswith("dark.mkv has a file of captions")
        assert Captions.beside(copies / "dark.mkv").at(0, 2) == "level 5"  # of bright.mp4


def test_spans_of_less_than_a_frame_are_refused(copies, plugin):
    with pytest.raises(InputError, match="1e-09 s are shorter than a frame"):
        caption_folder(copies, captioner_of("my_captions:counted"), "x", 1e-9)


def test_a_killed_run_leaves_whole_files(copies, plugin):
    calls = []

    def stops(clip, seed):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return by_brightness(clip)

    with pytest.raises(KeyboardInterrupt):
        caption_folder(copies, stops, "x")
    assert [path.name for path in copies.glob("*.captions.json")] == ["bright.captions.json"]
    assert not list(copies.glob(".*"))
    assert caption_folder(copies, stops, "x").kept == 1


@pytest.mark.parametrize("name", ["fails", "wrong", "silent"])
def test_a_captioner_that_never_answers_is_an_error(name, copies, plugin):
    with pytest.raises(InputError, match="no clip could be captioned"):
        caption_folder(copies, captioner_of(f"my_captions:{name}"), name)
    assert not list(copies.glob("*.captions.json"))


def test_shards_keep_captions_in_their_index(shards, plugin):
    made = caption_shards(shards, captioner_of("my_captions:counted"), "my_captions:counted")
    items = ShardFolder.open(shards, "clips").items()
    assert made.written == len(items) == len(plugin.calls) and not made.passed_over
    dark = [item for item in items if item["name"].startswith("dark")]
    bright = [item for item in items if item["name"].startswith("bright")]
    assert {item["caption"] for item in dark} == {"a dark scene"}
    assert all(tuple(item["styles"]) == THREE for item in items)
    assert all(item["caption"] == item["styles"]["short"] for item in bright)
    index = (shards / "index.json").read_bytes()
    again = caption_shards(shards, captioner_of("my_captions:counted"), "my_captions:counted")
    assert (again.written, again.kept) == (0, len(items)) and (shards / "index.json").read_bytes() == index
    other = caption_shards(shards, captioner_of("my_captions:text"), "my_captions:text")
    assert other.written == len(items)
    assert ShardFolder.open(shards, "clips").items()[0]["styles"] == {"short": "a ball falls"}


def test_clips_that_can_not_be_read_are_passed_over(shards, plugin):
    shard = sorted((shards / "shards").iterdir())[0]
    lost = [item["name"] for item in ShardFolder.open(shards, "clips").items() if item["shard"] == shard.name]
    shard.write_bytes(shard.read_bytes()[:1000])
    made = caption_shards(shards, captioner_of("my_captions:counted"), "my_captions:counted")
    assert sorted(made.passed_over) == sorted(lost) and made.written > 0
    assert all(
        "styles" not in item for item in ShardFolder.open(shards, "clips").items() if item["name"] in lost
    )


def test_captions_beside_videos_enter_shards_and_sources(copies, spec, plugin, tmp_path):
    caption_folder(copies, captioner_of("my_captions:counted"), "my_captions:counted")
    prepare([copies], tmp_path / "out", spec, stride=1.0, validation=0.4, test=0.0)
    items = ShardFolder.open(tmp_path / "out", "clips").items()
    items = [item for item in items if not item["name"].startswith("broken")]  # of which a second can be read
    assert len(items) >= 6
    assert all(tuple(item["styles"]) == THREE and item["caption"] for item in items)
    sample = FolderSource(copies).sample(0, spec, generator(0, "test"))
    assert tuple(sample.styles) == THREE and sample.caption == sample.styles["short"]
    source = ShardSource(tmp_path / "out", "train")
    assert {"level", "scene", "ten"} <= source.vocabulary


def test_one_caption_of_several_is_sampled_alike():
    styles = {"short": "a", "full": "b", "same": "own"}
    drawn = [sample_caption("own", styles, generator(0, "row", row)) for row in range(3000)]
    counts = {each: drawn.count(each) for each in set(drawn)}
    assert set(counts) == {("", "own"), ("short", "a"), ("full", "b")}
    assert all(abs(count - 1000) < 120 for count in counts.values())  # 4.6 standard deviations
    state = generator(0, "x")
    assert sample_caption("own", {}, state) == ("", "own") and sample_caption("", {}, state) == ("", "")
    assert sample_caption("", {"full": "b"}, state) == ("full", "b")
    assert torch.equal(state.get_state(), generator(0, "x").get_state())


def trained_captions(data, steps: int) -> list[list[str]]:
    loader = iter(data.train_dataloader())
    return [list(next(loader).captions) for _ in range(steps)]


def test_training_samples_one_style_by_seed_step_and_row(shards, spec, plugin):
    caption_shards(shards, captioner_of("my_captions:counted"), "my_captions:counted")
    held_out = ShardSource(shards, "validation")

    def data(seed: int, workers: int = 0) -> ClipData:
        return ClipData(spec, ShardSource(shards), held_out, batch_size=4, seed=seed, workers=workers)

    first = trained_captions(data(0), 8)
    assert trained_captions(data(0), 8) == first and trained_captions(data(1), 8) != first
    assert trained_captions(data(0, workers=2), 8) == first
    kinds = {caption.split()[0] for batch in first for caption in batch}
    assert {"level", "a"} <= kinds and len({each for batch in first for each in batch}) >= 3
    fixed = [caption for batch in data(0).val_dataloader() for caption in batch.captions]
    assert fixed == [item["caption"] for item in held_out.items]  # always the same words


def test_latents_keep_styles_and_embeddings_of_each(shards, spec, plugin, tmp_path):
    from tests.small.models import export

    caption_shards(shards, captioner_of("my_captions:counted"), "my_captions:counted")
    run = export(tmp_path / "run") / "simulator"

    def embed(captions):  # (B, S, E): the caption's length and its last digit
        numbers = [(len(text), int("0" + "".join(filter(str.isdigit, text)))) for text in captions]
        return torch.tensor(numbers, dtype=torch.float32)[:, None]

    sources = {split: ShardSource(shards, split) for split in ("train", "validation")}
    out = tmp_path / "latents"
    encode(sources, spec, run / "video_codec", run / "audio_codec", out, embed=embed)
    data = LatentData(out, batch_size=4)
    seen = set()
    loader = iter(data.train_dataloader())
    for _ in range(8):
        batch = next(loader)
        expected = embed(batch.captions)
        assert torch.equal(batch.text, expected)  # of the very caption that was sampled
        seen |= set(batch.captions)
    assert len(seen) >= 3 and data.vocabulary >= {"level", "scene"}
    caption_shards(shards, captioner_of("my_captions:text"), "my_captions:text")
    sources = {split: ShardSource(shards, split) for split in ("train", "validation")}
    with pytest.raises(InputError, match="other settings"):  # the captions in them are older
        encode(sources, spec, run / "video_codec", run / "audio_codec", out, embed=embed)


def test_detectors_caption_clips_of_the_worlds(tmp_path):
    world = WorldDataset("medium", seed=3, split="test")
    named = 0
    for index in range(4):
        clip, truth = world[index]
        clip.write(tmp_path / f"{index}.mp4")
    assert main(["caption", str(tmp_path)]) == 0
    for index in range(4):
        _, truth = world[index]
        styles = Captions.beside(tmp_path / f"{index}.mp4").styles_at(0, 2)
        assert tuple(styles) == THREE and len(set(styles.values())) == 3
        facts = {
            style: facts_in(caption) for style, caption in styles.items()
        }  # the world's grammar reads them
        assert facts["short"].place == facts["paraphrased"].place == truth.facts.place
        one, other = (
            [thing.noun.kind for thing in facts[style].things] for style in ("short", "paraphrased")
        )
        assert sorted(map(str, one)) == sorted(map(str, other))
        assert facts["full"].count == len(facts["full"].things)
        kinds = {thing.noun.kind for thing in truth.facts.things}
        named += bool(kinds & {thing.noun.kind for thing in facts["full"].things})
    assert named >= 3


def test_detectors_pass_other_videos_over(copies, capsys):
    assert main(["caption", str(copies)]) == 2
    err = capsys.readouterr().err
    assert "no clip could be captioned" in err and "Traceback" not in err


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    pytest.importorskip("transformers")
    return save_tiny(tmp_path_factory.mktemp("tiny") / "vlm")


def test_a_vision_language_model_captions_in_each_style(tiny, monkeypatch):
    import transformers

    seen = []
    kept = transformers.LlavaForConditionalGeneration.generate

    def generate(self, **given):
        seen.append(given["pixel_values"])
        return kept(self, **given)

    monkeypatch.setattr(transformers.LlavaForConditionalGeneration, "generate", generate)
    captioner = captioner_of(f"transformers:{tiny}")
    clip = Clip(torch.rand(3, 20, 24, 32, generator=torch.Generator().manual_seed(0)), None, 8.0)
    captions = captioner(clip, 0)
    assert set(captions) == set(STYLES) and all(captions.values())
    assert captions == captioner(clip, 0)
    assert [tuple(values.shape) for values in seen[:3]] == [(FRAMES, 3, 16, 16)] * 3
    captioner(Clip(torch.zeros(3, 3, 24, 32), None, 8.0), 0)
    assert seen[-1].shape[0] == 3 and not torch.equal(seen[-1][0], seen[0][0])
    with pytest.raises(InputError, match="has no video"):
        captioner(Clip(None, torch.zeros(1, 800)), 0)


def test_a_vision_language_model_by_the_command(tiny, copies):
    assert main(["caption", str(copies), "--captioner", f"transformers:{tiny}", "--seconds", "5"]) == 0
    kept = json.loads((copies / "dark.captions.json").read_text())
    assert set(kept["captions"][0]["styles"]) == set(STYLES)


def test_models_that_can_not_caption(tmp_path):
    pytest.importorskip("transformers")
    with pytest.raises(InputError, match="no vision-language model"):
        captioner_of(f"transformers:{tmp_path}")
    with pytest.raises(InputError, match="no chat template"):
        captioner_of(f"transformers:{save_tiny(tmp_path / 'vlm', template=None)}")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"captions": 3}', '{"captions": [{"start": 0, "end": 2}]}',
             '{"captions": [{"start": 0, "end": 2, "styles": {"short": 3}}]}',
             '{"captions": [{"start": 2, "end": 0, "styles": {}}]}'],
)  # fmt: skip
def test_a_sidecar_that_says_something_else(text, tmp_path):
    (tmp_path / "a.captions.json").write_text(text)
    with pytest.raises(InputError, match="a.captions.json"):
        Captions.beside(tmp_path / "a.mp4")


@pytest.mark.parametrize("styles", [3, [], {"short": 3}, "x"])
def test_an_index_that_says_something_else(styles, shards):
    index = json.loads((shards / "index.json").read_text())
    index["items"][0]["styles"] = styles
    (shards / "index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match="not an index of clips"):
        ShardFolder.open(shards, "clips")


@pytest.mark.parametrize(
    "name", ["", "x", "detectors:x", "transformers:", "my_captions:absent", "my_captions:number"]
)
def test_an_unknown_captioner(name, plugin):
    with pytest.raises(InputError):
        captioner_of(name)


def test_a_module_must_be_allowed():
    with pytest.raises(InputError, match="--allow-module os"):
        captioner_of("os:getcwd")
