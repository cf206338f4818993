"""Pages hold everything, escape everything, and show what they were given."""

import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
import torch

from avsim import Clip, InputError, report
from avsim.report.plots import sheet

EVIL = '<script>alert("x")</script> & \'"><img src=x onerror=y>'


def clip(frames: int = 8, sound: bool = True) -> Clip:
    time = torch.arange(frames * 1000) / 16000
    wave = 0.5 * torch.sin(2 * torch.pi * 2000 * time).expand(2, -1)
    picture = torch.linspace(0, 1, frames)[None, :, None, None].expand(3, frames, 32, 48)
    return Clip(picture.contiguous(), wave.contiguous() if sound else None)


class Tags(HTMLParser):
    """Every tag of a page with its attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def of(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.found if name == tag]


def picture(png: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)


def test_a_strip_shows_first_and_last_frame_and_as_many_as_asked():
    for count, expected in ((4, 4), (8, 8), (99, 8), (1, 1)):
        image = picture(report.strip(clip(), count))
        assert image.shape[0] == 96 and image.shape[1] == expected * 144
    image = picture(report.strip(clip(), 3))
    assert image[:, :144].max() == 0 and image[:, -144:].min() == 255


def test_a_sheet_stands_clips_beside_and_below_each_other():
    frames = torch.rand(3, 4, 32, 32)
    clips = {
        "both": Clip(frames, torch.rand(1, 8000) - 0.5, 8.0),
        "seen": Clip(frames, None, 8.0),
        "heard": Clip(None, torch.rand(2, 4000) - 0.5),
    }
    one, two = (
        cv2.imdecode(np.frombuffer(sheet(clips, columns), np.uint8), cv2.IMREAD_COLOR) for columns in (1, 2)
    )
    assert two.shape[1] > one.shape[1] > 4 * 96 - 1 and one.shape[0] > two.shape[0]
    assert (one[22:60, :80] < 250).any() and (one[:5, -5:] == 255).all()


def test_a_spectrogram_peaks_where_the_tone_is():
    image = picture(report.spectrogram(clip().wave, 16000)).astype(float)
    bright = image[:160, 30:, :3].sum(-1).mean(1)
    assert abs(int(bright.argmax()) - 160 * (1 - 2000 / 8000)) < 4
    turned = torch.stack([clip().wave[0], -clip().wave[0]])  # opposite channels must not cancel
    assert report.spectrogram(turned, 16000) == report.spectrogram(clip().wave, 16000)
    assert picture(report.spectrogram(torch.zeros(1, 4000), 16000))[:160, 30:, :3].max() < 10


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda folder: report.strip(clip().without_video()), "no"),
        (lambda folder: report.strip(clip(), 0), "0"),
        (lambda folder: report.spectrogram(torch.zeros(3), 16000), "(3,)"),
    ],
)
def test_mistakes_are_one_clear_line(make, found, tmp_path):
    with pytest.raises(InputError) as error:
        make(tmp_path)
    assert found in str(error.value) and "\n" not in str(error.value)


def test_a_page_escapes_users_text_and_asks_the_network_for_nothing(tmp_path):
    shown = report.image(report.strip(clip()), EVIL)
    sections = [
        report.Section(EVIL, [EVIL, shown, shown]),
        report.Section("Table", [report.table([EVIL, "run"], [[EVIL, EVIL], [EVIL, shown]])]),
        report.Section("Row", [report.row([EVIL, shown])]),
    ]
    path = report.page(tmp_path / "deep" / "page.html", EVIL, sections)
    text = path.read_text()
    tags = Tags(text)
    assert not tags.of("script") and not any("onerror" in a for _, a in tags.found)
    assert tags.text.count("alert") >= 7
    sources = [a[name] for _, a in tags.found for name in ("src", "href") if name in a]
    assert len(sources) == 4 and all(source.startswith("data:") for source in sources)
    assert not re.findall(r"https?://|@import|url\(", text)
    assert "default-src 'none'" in text and "prefers-color-scheme: dark" in text


def test_a_page_is_whole_or_absent(tmp_path):
    path = tmp_path / "page.html"
    report.page(path, "first", [])
    with pytest.raises(AttributeError):
        report.page(path, "second", [None])
    assert "first" in path.read_text() and list(tmp_path.iterdir()) == [path]
