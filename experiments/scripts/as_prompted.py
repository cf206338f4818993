"""Are the things of a prompt seen? python experiments/scripts/as_prompted.py [--count 96] [--language en]

Paraphrases of tests/prompting/independent.tsv, evenly chosen: each as the canonical caption of its stated
facts, as rewritten by the rules, and as it is (--no-rewrite). One clip each with the same seed;
TextAgreement by the video detector against the stated facts. A rewritten prompt that is the canonical
caption gives the same clip.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import torch

from avsim.evaluation.features import Detectors, Features
from avsim.evaluation.text import TextAgreement
from avsim.prompting import rewrite
from avsim.simulator import load
from avsim.world.captions.compose import plain_caption
from avsim.world.captions.facts import Facts, Noun, ThingFacts

LIST = Path(__file__).parents[2] / "tests" / "prompting" / "independent.tsv"
SHOWN = ("things seen, right", "colours seen, right", "things heard, right", "facts right")


def stated(facts: dict) -> Facts:
    """The facts of a line of the list."""
    things = [
        ThingFacts(
            Noun(**{name: each[name] for name in ("kind", "material", "colour", "side")}),
            does=each["does"], times=each["times"],
        )
        for each in facts["things"]
    ]  # fmt: skip
    return Facts(place=facts["place"], things=tuple(things))


def main() -> None:
    """Generate, detect, and print the shares with their intervals."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=96)
    parser.add_argument("--language", default="en")
    arguments = parser.parse_args()
    with open(LIST, encoding="utf-8", newline="") as file:
        found = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        rows = [
            (sentence, json.loads(facts)) for name, sentence, facts in found if name == arguments.language
        ]
    rows = [row for row in rows if row[1]["things"]]
    chosen = [rows[k * len(rows) // arguments.count] for k in range(arguments.count)]
    simulator, detectors = load("small"), Detectors.shipped()
    metrics = {name: TextAgreement() for name in ("canonical", "rewritten", "as it is")}
    same = 0
    for seed, (sentence, facts) in enumerate(chosen):
        truth = stated(facts)
        prompts = {"canonical": plain_caption(truth), "rewritten": rewrite(sentence), "as it is": sentence}
        same += prompts["canonical"] == prompts["rewritten"]
        clips = {prompt: simulator.generate(prompt, seed=seed) for prompt in dict.fromkeys(prompts.values())}
        for name, prompt in prompts.items():
            features = Features(clips[prompt], detectors, prompt)
            with torch.no_grad():
                metrics[name].update(truth, features.view, features.heard)
    print(f"{len(chosen)} sentences; {same} rewritten prompts are the canonical caption")
    for name, metric in metrics.items():
        scores = metric.scores()
        numbers = "  ".join(
            f"{each} {scores[each].value:.3f} ({scores[each].low:.3f} … {scores[each].high:.3f})"
            for each in SHOWN
        )
        print(f"{name}: judged {len(metric.rows)} of {len(chosen)}  {numbers}")


if __name__ == "__main__":
    main()
