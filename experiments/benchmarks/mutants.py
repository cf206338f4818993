"""How many small faults the tests notice: a sample of cosmic-ray's mutants of the core.

    pip install cosmic-ray
    python experiments/benchmarks/mutants.py OUT.json --minutes 60 [--seed 1] [--only avsim/diffusion]

Works in a copy of HEAD, so that no file here changes. A mutant is killed if a test of its package fails or
takes too long; tests of the module itself run first. A module is drawn by its length, a place in it evenly,
then one operator for that.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

CORE = ("avsim/clip.py", "avsim/diffusion", "avsim/separation", "avsim/evaluation", "avsim/codecs")
# Mutants that are equivalent by construction: unions in annotations, and `is` where numbers are compared.
EQUIVALENT = (
    *(f"Operator_{name}_Is" for name in ("Eq", "NotEq", "Lt", "LtE", "Gt", "GtE")),
    "_BitOr_",
    "RemoveDecorator",
    "Variable",  # operators that need a name to be given
)
SLOWER = 4.0  # times as long as without a mutant is too long


def places(path: Path) -> dict[tuple[int, int], list[tuple[str, int]]]:
    """(line, column) of a module -> the (operator, occurrence) that change it."""
    from cosmic_ray.ast import ast_nodes, get_ast_from_path
    from cosmic_ray.plugins import get_operator, operator_names

    found = defaultdict(list)
    nodes = list(ast_nodes(get_ast_from_path(path)))
    for name in operator_names():
        if any(each in name for each in EQUIVALENT):
            continue
        operator, occurrence = get_operator(name)(), 0
        for node in nodes:
            for start, _ in operator.mutation_positions(node):
                found[start].append((name, occurrence))
                occurrence += 1
    return found


def modules(root: Path, only: Sequence[str]) -> dict[str, int]:
    """The modules of some files and packages, and how many lines each has."""
    paths = [
        path
        for part in only
        for path in ([root / part] if part.endswith(".py") else sorted((root / part).rglob("*.py")))
    ]
    return {str(path.relative_to(root)): len(path.read_text().splitlines()) for path in paths}


def tests_of(root: Path, module: str) -> list[list[str]]:
    """What is run for a module, the nearest tests first."""
    parts = Path(module).with_suffix("").parts[1:]
    if len(parts) == 1:
        return [[f"tests/test_{parts[0]}.py"]]
    folder = f"tests/{parts[0]}"
    own = [str(path.relative_to(root)) for path in sorted((root / folder).glob(f"test_{parts[-1]}*.py"))]
    return [own, [folder]] if own else [[folder]]


def failure(root: Path, tests: Sequence[str], longest: float | None = None) -> str | None:
    """The first failure of some tests, or that they took longer than `longest` seconds; None: they passed."""
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--tb=no", *tests]
    try:
        done = subprocess.run(
            command, cwd=root, env=environment, capture_output=True, text=True, timeout=longest
        )
    except subprocess.TimeoutExpired:
        return f"took longer than {longest:.0f} s"
    if not done.returncode:
        return None
    lines = done.stdout.splitlines()
    return next((line for line in lines if line.startswith(("FAILED", "ERROR"))), "?")


def main() -> None:
    """Draw places until the time is over; print and write each mutant and what became of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", default=CORE)
    arguments = parser.parse_args()
    from cosmic_ray.mutating import use_mutation
    from cosmic_ray.plugins import get_operator

    results = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        archive = subprocess.run(["git", "archive", "HEAD"], check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
        lines, draws, seen = modules(root, arguments.only), random.Random(arguments.seed), set()
        known: dict[str, dict[tuple[int, int], list[tuple[str, int]]]] = {}
        usual: dict[tuple[str, ...], float] = {}  # seconds of tests without a mutant
        until = time.monotonic() + 60 * arguments.minutes
        while lines and time.monotonic() < until:
            (module,) = draws.choices(list(lines), list(lines.values()))
            if module not in known:
                known[module] = places(root / module)
            left = sorted(place for place in known[module] if (module, *place) not in seen)
            if not left:
                del lines[module]
                continue
            line, column = place = draws.choice(left)
            seen.add((module, *place))
            name, occurrence = draws.choice(known[module][place])
            suites = tests_of(root, module)
            for tests in suites:
                if tuple(tests) not in usual:
                    began = time.monotonic()
                    if (said := failure(root, tests)) is not None:
                        raise SystemExit(f"fails without a mutant: {said}")
                    usual[tuple(tests)] = time.monotonic() - began
            with use_mutation(root / module, get_operator(name)(), occurrence) as (before, after):
                if after is None or after == before:
                    continue
                changed = after.splitlines()[line - 1].strip()
                judged = (failure(root, tests, SLOWER * usual[tuple(tests)]) for tests in suites)
                why = next((said for said in judged if said is not None), None)
            results.append(
                {"place": f"{module}:{line}:{column}", "operator": name, "line": changed, "by": why}
            )
            print(f"{'killed  ' if why else 'SURVIVED'} {module}:{line} {name}: {changed}", flush=True)
            arguments.out.write_text(json.dumps(results, indent=1))
    count = sum(each["by"] is not None for each in results)
    print(f"killed {count} of {len(results)}")


if __name__ == "__main__":
    main()
