"""The card of a clip in a real browser: it plays, seeks, steps, and its stems are in time with the video."""

import base64
import json
import time
from dataclasses import replace

import pytest
import torch

from avsim import Clip
from avsim.clip import Region, Stems
from avsim.report.card import KEYS, SCRIPT, STYLE, Shown, broken, card, media_of
from avsim.report.findings import Fact, Findings, Mark
from avsim.report.html import Section, page
from avsim.report.tracks import BANDS, COLUMNS, frame_strip, log_mel, outlines
from tests.browser import CHROMIUM, MISSING, Browser, until

EVIL = '</script><script>alert("x")</script><img src=x onerror=y>'
browsing = pytest.mark.skipif(CHROMIUM is None, reason=MISSING)
RATE, SECONDS = 16000, 4.0
EMBEDDED = "[...document.querySelectorAll('[src]')].map((each) => each.src.slice(0, 5))"


def clip(seconds: float = SECONDS, size: tuple[int, int] = (48, 64)) -> Clip:
    frames = torch.rand(3, round(16 * seconds), *size)
    time = torch.arange(round(RATE * seconds)) / RATE
    return Clip(frames, (0.3 * torch.sin(2 * torch.pi * 1000 * time)).expand(2, -1).contiguous(), 16.0, RATE)


def ramps(of: Clip) -> Stems:
    """The first stem's samples say when they are, as shares of the clip's length; the second is minus it."""
    ramp = torch.linspace(0, 0.9, of.wave.shape[1]).expand(2, -1)
    moving = torch.zeros(64, 48, 64)
    for frame in range(64):
        moving[frame, 10:20, frame // 2 : frame // 2 + 10] = 1
    regions = [Region(moving, f"a {EVIL}"), Region.box(40, 20, 20, 20, (48, 64), "the drum")]
    return Stems(torch.stack([ramp, -ramp, of.wave]), regions, RATE)


FOUND = Findings(
    [Fact("ball seen", True), Fact("red seen", False), Fact("3 times", None)],
    [Mark(1.0, "rubber ball"), Mark(2.0, EVIL)],
    [Mark(1.05, "ball")],
    "Not judged: x.",
)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    torch.manual_seed(0)
    one = clip()
    first = Shown(one, f"a ball {EVIL}", {"seed": 3, "steps": None, "checkpoint": EVIL}, FOUND, ramps(one))
    cards = [
        card(first),
        card(Shown(clip(1.0))),
        broken("x.mp4", EVIL),
        card(Shown(clip(1.0).without_video(), "heard")),
    ]
    path = tmp_path_factory.mktemp("card") / "page.html"
    return page(path, "cards", [Section("", [KEYS, *cards])], SCRIPT, STYLE)


def test_a_card_says_what_is_known_and_trusts_no_text(written):
    text = written.read_text()
    assert "alert(" not in text.replace("&lt;script&gt;alert(", "").replace("\\u003cscript>alert(", "")
    assert (
        'aria-label="found">✓</span> ball seen' in text and 'aria-label="not found">✗</span> red seen' in text
    )
    assert 'aria-label="not judged">?</span> 3 times' in text and "<dt>seed</dt><dd>3</dd>" in text
    assert "<dt>steps" not in text and "default-src 'none'; img-src data:" in text
    assert "script-src 'sha256-" in text and "https:" not in text


def test_tracks_are_where_time_and_frequency_are():
    one = clip(2.0)
    mel = log_mel(one.wave, RATE)
    assert mel.shape == (BANDS, COLUMNS)
    bands = log_mel(0.5 * torch.sin(2 * torch.pi * 1000 * torch.arange(RATE) / RATE)[None], RATE)
    hertz = [700 * (10 ** (m / 2595) - 1) for m in torch.linspace(47.8, 2840.0, BANDS + 2)[1:-1].tolist()]
    assert abs(hertz[int(bands[:, 240].argmax())] - 1000) < 60
    assert abs(float((10 ** (bands[:, 240] / 10)).sum()) - 0.25) < 0.05  # of a full-scale sine's power
    high = log_mel(one.wave, RATE, top=16000.0)  # half of it lies above what the rate can hold
    assert high[-10:].max() < -85
    late = torch.zeros(1, 60 * RATE)
    late[:, 45 * RATE : 45 * RATE + 400] = 0.5
    assert abs(int(log_mel(late, RATE).amax(0).argmax()) - 0.75 * COLUMNS) <= 1
    address, count = frame_strip(one.frames)
    assert address.startswith("data:image/jpeg;base64,") and count == 8
    box = outlines(Region.box(16, 12, 32, 24, (48, 64)))
    assert len(box) == 1
    numbers = [int(n) for n in box[0].strip("MZ").replace("L", " ").split()]
    assert {*numbers[::2]} <= {*range(245, 256), *range(745, 756)}
    assert {*numbers[1::2]} <= {*range(245, 256), *range(745, 756)}
    assert len(outlines(ramps(clip()).regions[0])) == 64


@browsing
def test_keys_clicks_and_controls(written, tmp_path):
    with Browser(tmp_path / "chromium", written) as browser:
        time.sleep(0.5)
        assert browser.run("cards.length") == 3 and browser.run(EMBEDDED).count("data:") >= 4
        box = browser.run("(b => [b.left, b.top, b.width, b.height])(cards[0].stage.getBoundingClientRect())")
        controls = browser.run("cards[0].root.querySelector('.controls').getBoundingClientRect().top")
        assert box[2] >= 320 and abs(box[2] / box[3] - 64 / 48) < 0.02 and controls >= box[1] + box[3]
        levels = "[-0.04, 0, -6.25, null].map(shownLevel)"
        assert browser.run(levels) == ["0.0 dB", "0.0 dB", "−6.3 dB", "silent"]
        look = "getComputedStyle(document.querySelector('video')).imageRendering"
        assert browser.run(look) == "pixelated"
        browser.run("document.querySelector('button.smooth').click()")
        assert browser.run(look) == "auto"
        widths = "[...cards[0].root.querySelectorAll('.track')].map((t) => t.getBoundingClientRect().width)"
        assert len(browser.run(widths)) == 3 and len(set(browser.run(widths))) == 1
        assert browser.run("cards[0].root.querySelectorAll('i.event').length") == 6  # two on each track
        assert browser.run("cards[0].root.querySelectorAll('i.onset').length") == 3
        x, y, width, height = browser.run(
            "(b => [b.left, b.top, b.width, b.height])(cards[0].tracks.getBoundingClientRect())"
        )
        browser.click(x + 0.25 * width, y + 0.5 * height)  # seeks
        assert abs(browser.run("cards[0].now()") - 1.0) < 0.02
        assert abs(browser.run("parseFloat(cards[0].head.style.left)") - 25) < 0.5
        browser.press("ArrowRight")
        assert abs(browser.run("cards[0].now()") - 17.5 / 16) < 0.005
        browser.press("ArrowLeft")
        assert abs(browser.run("cards[0].now()") - 16.5 / 16) < 0.005
        browser.press(" ", " ")
        time.sleep(0.6)
        assert browser.run("cards[0].playing") and browser.run("cards[0].now()") > 1.2
        browser.press("j", "j")  # the next clip goes on playing, the first stops
        time.sleep(0.3)
        assert browser.run("[cards[0].playing, cards[1].playing]") == [False, True]
        assert browser.run("document.activeElement === cards[1].root")
        browser.press("k", "k")
        assert browser.run("[cards[0].playing, cards[1].playing]") == [True, False]
        browser.press("l", "l")
        assert browser.run("cards[1].media.loop")
        browser.press(" ", " ")
        assert not browser.run("cards[0].playing")
        assert browser.complaints() == []


@browsing
def test_stems_are_in_time_with_the_video_and_add_up(written, tmp_path):
    with Browser(tmp_path / "chromium", written) as browser:
        time.sleep(0.5)
        rendered = "cards[0].mixer.render().then((c) => [0, 1000, 32000, 63000].map((i) => c[0][i]))"
        whole = torch.tensor(browser.run(rendered))
        assert (whole - clip().wave[0, [0, 1000, 32000, 63000]]).abs().max() < 2e-3
        drawn = "cards[0].line.getAttribute('d')"
        mixture = browser.run(drawn)
        again = "(c => [...peaksOf([c], cards[0].peaks.length / 2)])(cards[0].mixer.strips[0].channels[0])"
        ramp = torch.tensor(browser.run(again)).view(-1, 2)  # the stem's samples rise from 0 to 0.9
        steps = torch.arange(len(ramp)) / len(ramp)
        assert (ramp[:, 0] / 127 - 0.9 * steps).abs().max() < 2e-3
        assert (ramp[:, 1] / 127 - 0.9 * (steps + 1 / len(ramp))).abs().max() < 2e-3
        browser.run("cards[0].mixer.strips[0].soloButton.click()")
        assert browser.run(drawn) != mixture  # the waveform is that of what is heard
        alone = torch.tensor(browser.run(rendered))
        assert (alone - 0.9 * torch.tensor([0, 1000, 32000, 63000]) / 64000).abs().max() < 2e-3
        # The picture outside of the stem's region is at 40 %, the outlines are there before any pointer.
        assert browser.run("getComputedStyle(cards[0].dim).fillOpacity") == "0.6"
        assert browser.run("cards[0].lines.length") == 2
        first, later = (
            browser.run(f"(cards[0].go({t}), cards[0].lines[0].paths[1].getAttribute('d'))")
            for t in (0.1, 3.0)
        )
        assert first and later and first != later  # the outline moves with its region
        assert browser.run("cards[0].dim.getAttribute('d')").startswith("M0 0H1000V1000H0ZM")
        # The first stem's samples are a ramp over time: what an analyser reads is the moment that is heard.
        measure = """(async () => {
          const card = cards[0];
          card.go(0.3);
          card.play();
          const context = card.mixer.ready();
          const analyser = context.createAnalyser();
          analyser.fftSize = 32;
          const found = [];
          const begun = performance.now();
          while (performance.now() - begun < 2500) {
            await new Promise(requestAnimationFrame);
            const { wired } = card.mixer;
            if (!wired) continue;
            if (wired.tapped !== true) { wired.out.connect(analyser); wired.tapped = true; }
            const samples = new Float32Array(32);
            analyser.getFloatTimeDomainData(samples);
            const computed = (samples[31] / 0.9) * 4;  // the moment in the graph now
            const stamp = context.getOutputTimestamp();
            const since = (performance.now() - stamp.performanceTime) / 1000;
            const latency = context.currentTime - stamp.contextTime - since;
            if (samples[31] > 0.02) found.push(computed - latency - card.media.currentTime);
          }
          card.pause();
          return found;
        })()"""
        off = torch.tensor(browser.run(measure))
        assert len(off) > 30
        settled = off[len(off) // 3 :]
        assert settled.median().abs() <= 0.02 and settled.abs().quantile(0.9) <= 0.02, settled
        browser.run("cards[0].mixer.strips[0].muteButton.click()")
        assert max(map(abs, browser.run(rendered))) < 1e-6
        browser.press("1", "1")  # out of solo
        assert browser.run(drawn) == mixture
        assert browser.run("cards[0].mixer.strips[0].solo") is False
        assert browser.complaints() == []


@browsing
def test_a_page_of_500_clips_is_ready_in_three_seconds(tmp_path):
    one = clip(2.0, (64, 64))
    smooth = torch.nn.functional.interpolate(
        torch.rand(1, 3, 4, 6, 6), one.frames.shape[1:], mode="trilinear"
    )
    one = replace(one, frames=smooth[0])
    made = media_of(one)
    cards = [card(Shown(one, f"clip {k}", {"seed": k}, FOUND, media=made)) for k in range(500)]
    path = page(tmp_path / "many.html", "many", [Section("", [KEYS, *cards])], SCRIPT, STYLE)
    begun = time.monotonic()
    with Browser(tmp_path / "chromium", path, loaded=False) as browser:
        started = browser.run("performance.timeOrigin / 1000")
        browser.run(until("window.cards?.[0]?.media?.readyState >= 2"))
        browser.press(" ", " ")
        browser.run(until("cards[0].media.currentTime > 0"))
        first = browser.run("Date.now() / 1000") - started
        assert first < 3.0 and time.monotonic() - begun < 20
        browser.run(until("cards.length === 500"))
        browser.run("cards[499].root.scrollIntoView()")
        time.sleep(1.0)
        assert browser.run("cards[499].built") and not browser.run("cards[250].built")
        held = browser.run("document.querySelectorAll('video[src]').length")
        assert 1 <= held < 30  # browsers play some 75 at a time
        assert browser.complaints() == []


@browsing
@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_shows_a_card_in_its_width(written, tmp_path, dark):
    with Browser(tmp_path / "chromium", written, dark=dark) as browser:
        browser.ask(
            "Emulation.setDeviceMetricsOverride", width=390, height=800, deviceScaleFactor=2, mobile=True
        )
        time.sleep(0.5)
        assert browser.run("document.documentElement.scrollWidth") == 390
        ground = browser.run("getComputedStyle(document.body).backgroundColor")
        assert ground == ("rgb(21, 23, 26)" if dark else "rgb(251, 251, 250)")


def test_what_a_card_holds_can_be_read_back():
    one = clip(1.0)
    text = str(
        card(Shown(one, stems=Stems(torch.stack([one.wave, 0 * one.wave]), [Region(torch.ones(4, 4))], RATE)))
    )
    data = json.loads(text.split('<script type="application/json">')[1].split("</script>")[0])
    assert (
        data["seconds"] == 1.0
        and data["size"] == [48, 64]
        and [s["level"] for s in data["stems"]] == [0.0, None]
    )
    packed = torch.frombuffer(bytearray(base64.b64decode(data["stems"][0]["wave"])), dtype=torch.int16)
    assert torch.allclose(packed.view(2, -1) / 32767 * data["peak"], one.wave, atol=1e-4)
