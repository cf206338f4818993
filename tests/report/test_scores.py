import math
import re
from dataclasses import replace

from avsim.evaluation.result import Score
from avsim.evaluation.suite import METRICS, Result
from avsim.report.html import Html
from avsim.report.scores import HEADER, cells, plot, shown, write_scores

SCORE = Score(0.5, 0.4, 0.6, 20, {"is silent": 2}, floor=0.1, ceiling=0.9)


def test_cells_of_what_is_known_and_what_is_not():
    assert cells("F1", SCORE) == ["F1", "0.5", "0.4 … 0.6", "0.1", "0.9", "0.5", "20", "2: is silent"]
    unknown = Score(math.nan, math.nan, math.nan, 0)
    assert cells("F1", unknown) == ["F1", "–", "–", "–", "–", "–", "0", "–"]
    assert len(HEADER) == len(cells("F1", SCORE)) and shown(1234.5) == "1.23e+03"


def test_a_plot_places_value_floor_and_ceiling_on_a_line():
    picture = plot(SCORE)
    assert isinstance(picture, Html) and 'cx="180.0"' in picture  # the middle of 0 to 1
    assert picture.count("<text") == 2 and "floor" in picture and "ceiling" in picture
    assert "floor" not in plot(replace(SCORE, floor=math.nan))
    assert 'cx="12.0"' in plot(Score(-3.0, -3.0, 5.0, 4))


def test_what_can_be_believed_comes_first_and_markup_is_harmless(tmp_path):
    believed = Result(METRICS[0], {"F1": Score(math.nan, math.nan, math.nan, 0, {"is silent": 2})}, None)
    shown_score = Result(METRICS[1], {"<offset>": SCORE}, None)
    path = write_scores(tmp_path / "page.html", "A & B", [believed, shown_score], ["3 clips."])
    text = path.read_text()
    assert "A &amp; B" in text and "<offset>" not in text and "&lt;offset&gt;" in text
    assert "Doesn&#x27;t apply: of the clips, 2 is silent" in text
    assert "Not calibrated" in text and text.count("<svg role") == 1


def test_the_summary_is_a_table_with_directions_and_has_the_metrics_of_the_field(tmp_path):
    offset, synchrony = (next(m for m in METRICS if m.name == n) for n in ("offset", "synchrony of events"))
    results = [Result(synchrony, {"F1": SCORE}, None), Result(offset, {"offset, median, ms": SCORE}, None)]
    path = tmp_path / "page.html"
    lines = ["AV-Align: 0.53, judged 4 of <4>"]
    text = write_scores(path, "x", results, [], [Html("<i></i>")], ["offset"], lines).read_text()
    summary, _, rest = text.partition("</table>")
    assert "offset, median, ms\u00a0↓" in summary and "F1" not in summary and "F1" in rest
    assert "AV-Align: 0.53, judged 4 of &lt;4&gt;" in text
    targets = re.findall(r'href="#([^"]+)"', text)
    assert len(targets) == 2 and all(text.count(f' id="{name}"') == 1 for name in targets)
