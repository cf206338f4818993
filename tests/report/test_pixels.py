"""The page of pixels: what a browser plays is what the separator says, to the sample and to the place."""

import base64
import json
import math
import re
import time

import pytest
import torch

from avsim import media
from avsim.clip import Clip, ClipSpec, Region
from avsim.errors import InputError
from avsim.report.pixels import LONGEST, hearable_clip, write_pixels
from avsim.separation import Separator, pixel_stem, separate
from avsim.separation.loss import ideal_shares, stem_power, with_off_screen
from avsim.separation.pixels import unfold
from avsim.separation.regions import region_weights
from avsim.separation.separator import Maps
from avsim.separation.stems import frame_source, windows
from avsim.world import Scene, render
from avsim.world.flat.scene import Hit, Player, Stick, Target
from avsim.world.sound.phrases import Note
from tests.browser import CHROMIUM, MISSING, Browser, until
from tests.separation.mixtures import SPEC, mixture

BAND = "a drum and a trumpet </script><script>alert(1)</script>"


class Oracle(Separator):
    """Knows each thing's sound and place: a cell is of one thing, a bin of ideal shares."""

    def knows(self, stems: torch.Tensor, masks: torch.Tensor) -> "Oracle":
        """Stems (R, A, N) and masks (R, T, H, W) of the clip that it will be asked about, at 16 fps."""
        self.truth = stems, masks
        return self

    def _encode(self, frames, wave, sample_rate):
        _, columns_frame, bins = super()._encode(frames, wave, sample_rate)
        stems, masks = self.truth
        shares = ideal_shares(stem_power(with_off_screen(stems[None], wave), sample_rate, self.scale))
        grid = self.grid(*masks.shape[2:])
        cover = torch.nn.functional.adaptive_avg_pool2d(masks, grid).flatten(2).permute(1, 2, 0)  # (T, C, R)
        owner = torch.cat([(cover > 0.5).float(), torch.zeros(*cover.shape[:2], 1)], -1)
        cells = torch.cat([owner, torch.zeros_like(owner[:, :1])], 1)
        cells[:, -1, -1] = 1
        cells = torch.where(cells.sum(-1, keepdim=True) > 0, cells * 30, torch.tensor(0.0))
        count = (cells > 0).sum(1).clamp(min=1).log()[columns_frame]  # (J, R + 1)
        found = (shares[0].permute(2, 1, 0).clamp(min=1e-6).log() - count[:, None]) / 30 + 1.0
        return Maps(cells[None], found[None], grid), columns_frame, bins


def small(kind: type[Separator] = Separator) -> Separator:
    torch.manual_seed(0)
    made = kind(short_side=32, width=8, fine=8, coarse=16, frame_blocks=1, bin_widths=[4, 8, 8])
    for parameter in made.parameters():  # away from its start, where much is zero
        parameter.data += 0.5 * torch.randn_like(parameter) / math.sqrt(max(1, parameter.shape[-1]))
    return made.eval()


@pytest.fixture(scope="module")
def band() -> tuple[Clip, torch.Tensor, torch.Tensor]:
    """A drum on the left, a trumpet on the right; their stems and masks."""
    notes = tuple(Note(0.2 + 0.5 * k, 0.4, 60 + 2 * k, 0.8) for k in range(3))
    scene = Scene(
        targets=(Target("drum skin", x=-0.9),),
        stick=Stick("wood", (Hit(0.4, speed=4.0), Hit(1.1, speed=5.0))),
        players=(Player("trumpet", x=0.9, notes=notes),),
    )
    clip, truth = render(scene, ClipSpec(2.0, 72, 128, 16.0, 16000, 2))
    stems = torch.stack([truth.stems[thing.name] for thing in truth.things])
    return clip, stems, truth.masks


def correlation(one, other) -> float:
    return float((one * other).sum() / (one.norm() * other.norm()).clamp(min=1e-12))


def rendered(browser: Browser) -> torch.Tensor:
    """What the page's graph gives to an offline context, (A, N)."""
    channels = browser.run("""window.cards[0].mixer.render().then((channels) => channels.map((wave) => {
      const bytes = new Uint8Array(Float32Array.from(wave).buffer);
      let text = "";
      for (let i = 0; i < bytes.length; i += 8192)
        text += String.fromCharCode(...bytes.subarray(i, i + 8192));
      return btoa(text);
    }))""")
    waves = [bytearray(base64.b64decode(text)) for text in channels]
    return torch.stack([torch.frombuffer(wave, dtype=torch.float32) for wave in waves])


def over(browser: Browser, x: float, y: float, size: tuple[int, int]) -> tuple[float, float]:
    """Where in the window the pixel (x, y) of a video of `size` (H, W) is."""
    box = browser.run("(b => [b.x, b.y, b.width, b.height])(window.cards[0].stage.getBoundingClientRect())")
    return box[0] + box[2] * (x + 0.5) / size[1], box[1] + box[3] * (y + 0.5) / size[0]


def test_shares_of_cells_and_regions_are_the_separators():
    model = small()
    frames, stems, _ = mixture(0)
    clip = Clip(frames.clamp(0, 1), stems.sum(0), SPEC.frames_per_second, SPEC.sample_rate)
    regions = [Region.box(0, 0, 16, 32, (32, 32)), Region((torch.rand(16, 32, 32) > 0.5).float(), "moving")]
    picture = frame_source(clip, model)
    pixels = unfold(model, picture, clip.wave, clip.sample_rate, regions)
    (span,) = pixels.spans
    logits = span.bins.values @ span.cells.values[span.columns_frame].transpose(1, 2)
    shares = (logits - span.total[..., None]).exp()
    assert torch.allclose(shares.sum(-1), torch.ones(()), atol=1e-4)
    maps, columns_frame, _ = model._encode(picture.read(torch.arange(16))[None], clip.wave[None], 8000)
    with torch.no_grad():
        expected = maps.at(torch.arange(len(columns_frame)), columns_frame)
    assert (shares - expected).abs().max() < 1e-3
    whole = unfold(model, picture, clip.wave, clip.sample_rate, [Region(torch.ones(32, 32))])
    assert torch.allclose(whole.masks[0], expected[..., :-1].sum(-1), atol=2e-3)
    assert pixels.masks.shape == (2, *span.total.shape) and [len(p) for p in pixels.places] == [1, 16]


def test_windows_are_joined_without_a_gap(monkeypatch):
    from avsim.separation import stems as stems_module

    monkeypatch.setattr(stems_module, "WINDOW", 1.0)
    monkeypatch.setattr(stems_module, "OVERLAP", 0.3)
    model = small()
    frames, stems, _ = mixture(1)
    clip = Clip(frames.clamp(0, 1).repeat(1, 3, 1, 1), stems.sum(0).repeat(1, 3), 16.0, 8000)
    pixels = unfold(model, frame_source(clip, model), clip.wave, clip.sample_rate)
    ends = [0]
    for span in pixels.spans:
        assert span.column == ends[-1]
        ends.append(span.column + len(span.columns_frame))
    assert len(ends) > 4 and ends[-1] == model.scale.columns(clip.wave.shape[1], 8000)


def test_a_region_that_moves_is_followed_through_every_window():
    """A clip of two windows; the mask's frames are drawn, so that none may stand for another."""
    model = small()
    frames, stems, _ = mixture(2)
    clip = Clip(frames.clamp(0, 1).repeat(1, 10, 1, 1), stems.sum(0).repeat(1, 10), 16.0, 8000)
    draw = torch.Generator().manual_seed(0)
    mask = torch.rand(160, 1, 1, generator=draw) * (torch.rand(160, 32, 32, generator=draw) > 0.5)
    moving = Region(mask, "moving")
    picture = frame_source(clip, model)
    pixels = unfold(model, picture, clip.wave, clip.sample_rate, [moving])
    asked = list(windows(model, picture, clip.wave, clip.sample_rate))
    assert len(asked) == len(pixels.spans) == 2
    for window, span in zip(asked, pixels.spans, strict=True):
        weights = region_weights([moving], window.seen, window.maps.grid)
        with torch.no_grad():
            expected = window.maps.shares(window.columns_frame, weights[None])[0, 0].T  # (J, F)
        low, count = span.column - window.first // model.scale.hop(8000), len(span.columns_frame)
        found = pixels.masks[0, span.column : span.column + count]
        assert (found - expected[low : low + count]).abs().max() < 2e-3


def test_wide_sound_is_mixed_to_stereo_as_a_films_is(tmp_path):
    """A voice in the middle of 5.1 is heard from both sides, as `media.read` mixes it."""
    frames, voice = torch.rand(3, 16, 16, 16), torch.zeros(6, 8000)
    voice[2] = 0.5 * torch.sin(torch.arange(8000) / 8)
    clip = Clip(frames, voice, 16.0, 8000)
    sound = media.write(Clip(None, voice, sample_rate=8000), tmp_path / "voice.wav")
    expected = media.read(sound).wave
    assert expected.shape[0] == 2 and expected.abs().max() > 0.05
    page = hearable_clip(small(), clip, [])
    about = json.loads(re.search(r'application/json">(.*?)</script>', page)[1])["maps"]
    packed = torch.frombuffer(bytearray(base64.b64decode(about["wave"]["data"])), dtype=torch.int16)
    found = packed.view(2, -1) / 32767 * about["peak"]
    assert torch.allclose(found, expected, atol=1e-4)


def test_what_no_page_can_hold(tmp_path):
    model, rate = small(), 4.0
    frames = torch.zeros(3, int((LONGEST + 1) * rate), 8, 8)
    clip = Clip.fitted(frames, torch.zeros(1, 1), rate, 8000)
    with pytest.raises(InputError, match="31 s are too long for a page"):
        write_pixels(tmp_path / "x.html", model, clip, [], "x")
    with pytest.raises(InputError, match="no audio"):
        write_pixels(tmp_path / "x.html", model, Clip(frames[:, :8], None), [], "x")
    with pytest.raises(InputError, match="a page needs a Separator"):
        write_pixels(tmp_path / "x.html", torch.nn.Linear(1, 1), clip, [], "x")
    assert not list(tmp_path.iterdir())


def test_a_page_asks_nothing_of_the_network_and_trusts_no_name(tmp_path, band):
    clip, stems, masks = band
    page = write_pixels(tmp_path / "x.html", small(), clip, [Region(masks[0], BAND)], BAND)
    text = page.read_text()
    twice = Clip(clip.frames.repeat(1, 2, 1, 1), clip.wave.repeat(1, 2), 16.0, 16000)
    large = write_pixels(tmp_path / "y.html", Separator().eval(), twice, [Region(masks[0].amax(0))], "4 s")
    assert large.stat().st_size < 12e6
    assert text.count("<script") == 2 and "alert(1)</script>" not in text  # its data, its script
    assert "default-src 'none'" in text and re.search(r"script-src 'sha256-[\w+/]+=*'", text)
    assert not re.findall(r"https?://", text)


@pytest.mark.skipif(CHROMIUM is None, reason=MISSING)
def test_a_click_on_the_drum_is_heard_as_the_drum(tmp_path, band):
    clip, stems, masks = band
    model = small(Oracle).knows(stems, masks)
    regions = [Region(mask, name) for mask, name in zip(masks, ("the drum", BAND), strict=True)]
    page = write_pixels(tmp_path / "page.html", model, clip, regions, BAND)
    size = clip.frames.shape[2:]
    middles = [mask[0].nonzero().float().mean(0).tolist() for mask in masks]
    with Browser(tmp_path / "chromium", page) as browser:
        browser.run(until("cards[0].built"))
        assert (rendered(browser) - clip.wave).abs().max() < 1e-4  # the desk, untouched
        expected = separate(model, clip, regions).wave
        for strip in range(3):
            browser.run(f"window.cards[0].mixer.strips[{strip}].soloButton.click()")
            assert correlation(rendered(browser), expected[strip]) > 0.999
            assert (rendered(browser) - expected[strip]).abs().max() < 2e-3
            browser.run(f"window.cards[0].mixer.strips[{strip}].soloButton.click()")
        drawn = "cards[0].line.getAttribute('d')"
        waveforms = [browser.run(drawn)]
        for row, column in middles:
            browser.click(*over(browser, column, row, size))
            browser.run(until(f"{drawn} !== {json.dumps(waveforms[-1])}"))  # worked out once it is heard
            waveforms.append(browser.run(drawn))
            which = 0 if column < size[1] / 2 else 1
            heard = rendered(browser)
            assert correlation(heard, stems[which]) > 0.97  # the drum, as the drum is
            assert correlation(heard, stems[1 - which]) < 0.3
            grid = model.grid(*size)
            x = (int((column + 0.5) / size[1] * grid[1]) + 0.5) * size[1] / grid[1]
            y = (int((row + 0.5) / size[0] * grid[0]) + 0.5) * size[0] / grid[0]
            assert correlation(heard, pixel_stem(model, clip, x, y)) > 0.99
        assert len(set(waveforms)) == 3  # of the clip and of both places
        peaks = "[...peaksOf(cards[0].mixer.place.channels, cards[0].peaks.length / 2)]"
        assert max(map(abs, browser.run(peaks))) > 10  # of 127
        assert "−60 dB" in browser.run("document.querySelector('.scale').textContent")
        browser.run("cards[0].pixels.mix()")
        assert browser.run(drawn) == waveforms[0]
        # The pointer is over the video: after the stroke, light lies on the drum, not beside all things.
        light = """(() => { const card = window.cards[0], view = card.pixels; card.pause(); card.seek(0.47);
          return new Promise((done) => setTimeout(() => {
            const { width, height } = view.small.canvas;
            done([...view.small.getImageData(0, 0, width, height).data].filter((_, i) => i % 4 == 3));
          }, 300)); })()"""
        shown = torch.tensor(browser.run(light)).reshape(model.grid(*size)).float()
        cover = torch.nn.functional.adaptive_avg_pool2d(masks[:, 7], shown.shape)
        assert shown[cover[0] > 0.9].min() > 100 and shown[cover.amax(0) == 0].max() < 100
        assert browser.complaints() == []


@pytest.mark.skipif(CHROMIUM is None, reason=MISSING)
@pytest.mark.parametrize("rate", [16000, 22050])
def test_any_place_of_any_rate_in_time_with_the_picture(tmp_path, band, rate):
    frames = band[0].frames
    wave = 0.3 * torch.randn(1, 2 * rate).cumsum(1).diff(n=1, prepend=torch.zeros(1, 1)).clamp(-3, 3)
    clip, model = Clip(frames, wave, 16.0, rate), small()
    regions = [Region.box(16 * k, 0, 16, 72, (72, 128)) for k in range(8)]
    page = write_pixels(tmp_path / "page.html", model, clip, regions, "noise")
    with Browser(tmp_path / "chromium", page, dark=True) as browser:
        browser.run(until("cards[0].built"))
        assert (rendered(browser) - clip.wave).abs().max() < 1e-4
        expected = separate(model, clip, regions).wave
        browser.run("window.cards[0].mixer.strips[5].soloButton.click()")
        assert correlation(rendered(browser), expected[5]) > 0.999
        browser.run("window.cards[0].mixer.strips[5].soloButton.click()")
        browser.run("window.cards[0].mixer.strips[3].muteButton.click()")
        assert (rendered(browser) - (clip.wave - expected[3])).abs().max() < 0.02
        for x, y in ((20, 20), (70, 40), (100, 60), (5, 5), (120, 70)):
            browser.click(*over(browser, x, y, (72, 128)))
            grid = model.grid(72, 128)
            cell = browser.run("window.cards[0].pixels.place.cell")
            assert cell == (y * 2 + 1) * grid[0] // 144 * grid[1] + (x * 2 + 1) * grid[1] // 256
            place = [(cell % grid[1] + 0.5) * 128 / grid[1], (cell // grid[1] + 0.5) * 72 / grid[0]]
            assert correlation(rendered(browser), pixel_stem(model, clip, *place)) > 0.99
        browser.run("Card.set('loop', true)")
        answers = """(async () => { const view = window.cards[0].pixels, answers = [];
          for (let k = 0; k < 12; k++) {
            view.listen(20 + k);
            answers.push(view.answered);
            await new Promise((done) => setTimeout(done, 50));
          }
          return answers;
        })()"""
        assert min(browser.run(answers)) < 100  # ms; others run on this machine too
        time.sleep(0.5)
        browser.run(until("cards[0].mixer.wired"))
        moment, shown = browser.run("[window.cards[0].mixer.heard(), window.cards[0].now()]")
        assert moment > 0 and (abs(moment - shown) < 0.25 or abs(moment - shown) > 1.5)  # or just begun anew
        assert browser.run("document.querySelector('[role=status]').textContent").startswith("Playing: Place")
        browser.run("window.cards[0].stage.focus()")
        before = browser.run("window.cards[0].pixels.cursor")
        browser.press("ArrowUp")
        assert browser.run("window.cards[0].pixels.cursor") == before - grid[1]
        browser.press("Enter")
        assert browser.run("window.cards[0].pixels.place.cell") == before - grid[1]
        browser.press("Escape")
        assert browser.run("window.cards[0].pixels.place") is None
        browser.press(" ", " ")
        assert browser.run("window.cards[0].playing") is False
        browser.press("2", "2")
        assert browser.run("window.cards[0].mixer.strips[1].soloButton.ariaPressed") == "true"
        unnamed = """[...document.querySelectorAll(".card :is(button, input, select, .stage)")].filter((e) =>
          !(e.textContent.trim() || e.ariaLabel || e.labels?.length || e.ariaHidden === "true")).length"""
        assert browser.run(unnamed) == 0
        assert browser.complaints() == []
