"""The tables of RESULT.md from the records of score.py: python table.py OUT [MODEL BASELINE]."""

import json
import sys
from pathlib import Path

import torch
from torch import Tensor

from avsim.measures import bootstrap
from avsim.seeds import generator

RESAMPLES = 2000
TITLES = {
    ("test", "two"): "two different",
    ("test", "alike"): "two alike",
    ("test", "three"): "three",
    ("test", "off screen"): "off screen beside one",
    ("held out", "two"): "held out, two",
}
BARS = {
    ("test", "two"): 0.70,
    ("test", "alike"): 0.50,
    ("test", "three"): 0.60,
    ("test", "off screen"): 0.60,
    ("held out", "two"): 0.55,
}
FAMILIES = ("drop", "strike", "ensemble")


def read(folder: Path, row: str) -> dict[int, dict]:
    """The records of a row by the mixtures' numbers."""
    records = [each for path in folder.glob(f"{row}-[0-9]*.json") for each in json.loads(path.read_text())]
    return {each["index"]: each for each in records}


def row_name(split: str, constraint: str, family: str) -> str:
    """As in score.py."""
    return f"{split} {constraint} {family}".replace(" ", "-")


def share_of(gain: Tensor, best: Tensor, resamples: int = RESAMPLES) -> str:
    """Mean gain as a share of the oracle's mean gain, with its 95 % bootstrap interval over mixtures."""
    if not len(gain):
        return "–"
    chosen = torch.randint(len(gain), (resamples, len(gain)), generator=generator(0, "bootstrap"))
    shares = gain[chosen].mean(1) / best[chosen].mean(1)
    low, high = torch.quantile(shares, torch.tensor([0.025, 0.975], dtype=shares.dtype)).tolist()
    return f"{float(gain.mean() / best.mean()):.2f} ({low:.2f} … {high:.2f})"


def column(records: dict[int, dict], key: str, name: str, among: list[int]) -> Tensor:
    """One number of each mixture, nan where it was not measured."""
    return torch.tensor(
        [records.get(i, {}).get(key, {}).get(name, torch.nan) for i in among], dtype=torch.float64
    )


def mean(values: Tensor) -> str:
    """Without nan."""
    values = values[values.isfinite()]
    return f"{float(values.mean()):.1f}" if len(values) else "–"


class Results:
    """All records of an experiment's folder."""

    def __init__(self, out: Path, model: str, baseline: str) -> None:
        self.out, self.model, self.baseline = out / "records", model, baseline

    def of(self, split: str, constraint: str, families: tuple[str, ...], only: tuple[str, ...]):
        """Records of the references and of `only`, renumbered over families, and the numbers all have."""
        found: dict[str, dict[int, dict]] = {name: {} for name in ("references", *only)}
        for number, family in enumerate(families):
            for name, records in found.items():
                there = read(self.out / name, row_name(split, constraint, family))
                records.update({number * 100_000 + i: each for i, each in there.items()})
        common = sorted(set.intersection(*(set(records) for records in found.values())))
        return found, common

    def main(self) -> list[str]:
        """Gains, per set and family, and over families."""
        names = (self.model, self.baseline)
        header = ["set", "family", "n", "mixture", "oracle", "oracle in bands", "NMF", *reversed(names)]
        header += [f"share: {self.baseline}", f"share: {self.model}", "bar"]
        header += ["BSS SDR: mixture", "oracle", *reversed(names)]
        lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
        for (split, constraint), title in TITLES.items():
            every = [(family,) for family in FAMILIES]
            for families in [*every, ("drop", "strike"), FAMILIES]:
                if families == ("drop", "strike") and (split, constraint) != ("test", "two"):
                    continue
                found, common = self.of(split, constraint, families, ())
                of = {n: column(found["references"], "si_sdr", n, common)
                      for n in ("mixture", "oracle", "oracle in bands", "NMF")}  # fmt: skip
                cells = [title, " + ".join(families) if len(families) < 3 else "all", str(len(common))]
                cells += [mean(each) for each in of.values()]
                sdr = [mean(column(found["references"], "sdr", n, common)) for n in ("mixture", "oracle")]
                shares = []
                for name in reversed(names):
                    found, own = self.of(split, constraint, families, (name,))
                    floor, best = (
                        column(found["references"], "si_sdr", n, own) for n in ("mixture", "oracle")
                    )
                    values = column(found[name], "si_sdr", name, own)
                    cells.append(mean(values) + (f" (of {len(own)})" if 0 < len(own) < len(common) else ""))
                    shares.append(share_of(values - floor, best - floor))
                    sdr.append(mean(column(found[name], "sdr", name, own)))
                lines.append(
                    "| " + " | ".join([*cells, *shares, f"{BARS[split, constraint]:.2f}", *sdr]) + " |"
                )
        return lines

    def controls(self) -> list[str]:
        """Two alike: in mono, with frames shuffled, with both."""
        lines = ["| model | family | n | as it is | shuffled | mono | mono, shuffled |", "|" + "---|" * 7]
        for name in (self.model, self.baseline):
            for family in FAMILIES:
                found, common = self.of("test", "alike", (family,), (name,))
                common = [i for i in common if f"{name}, mono" in found[name][i]["si_sdr"]]
                if not common:
                    continue
                cells = []
                for control in ("", "shuffled", "mono", "mono, shuffled"):
                    centred = ", mono" if "mono" in control else ""
                    floor = column(found["references"], "si_sdr", f"mixture{centred}", common)
                    best = column(found["references"], "si_sdr", f"oracle{centred}", common)
                    key = f"{name}, {control}" if control else name
                    own = column(found[name], "si_sdr", key, common)
                    cells.append(share_of(own - floor, best - floor))
                lines.append(f"| {name} | {family} | {len(common)} | " + " | ".join(cells) + " |")
        return lines

    def seen(self) -> list[str]:
        """Pointing, and the energy of silent objects."""
        lines = [
            "| model | family | pointing, % (stems) | silent objects' energy, % (clips) |",
            "|" + "---|" * 4,
        ]
        for name in (self.model, self.baseline):
            for families in [*((family,) for family in FAMILIES), FAMILIES]:
                hits: list[float] = []
                silent: list[float] = []
                for split, constraint in [*TITLES, ("test", "silent")]:
                    found, _ = self.of(split, constraint, families, (name,))
                    for each in found[name].values():
                        hits += [100.0 * hit for hit in each.get("pointing", [])]
                        if constraint == "silent" and each["silent"] is not None:
                            silent.append(100 * each["silent"])
                shown = [interval(hits), interval(silent)]
                title = "all" if len(families) == 3 else families[0]
                lines.append(f"| {name} | {title} | {shown[0]} | {shown[1]} |")
        return lines


def interval(values: list[float]) -> str:
    """Mean with its 95 % interval and how many."""
    if not values:
        return "–"
    found = bootstrap(torch.tensor(values))
    return f"{found.mean:.1f} ({found.low:.1f} … {found.high:.1f}; {len(values)})"


if __name__ == "__main__":
    names = sys.argv[2:4] or ["separator", "Sound of Pixels"]
    results = Results(Path(sys.argv[1]), *names)
    for part in (results.main, results.controls, results.seen):
        print("\n".join(part()), end="\n\n")
