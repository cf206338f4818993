"""Scripts of the experiments keep up with the package: what they import from it exists."""

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted(path.relative_to(ROOT) for path in (ROOT / "experiments").rglob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=str)
def test_what_a_script_imports_exists(script):
    for node in ast.walk(ast.parse((ROOT / script).read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "avsim":
            module = importlib.import_module(node.module)
            for name in (alias.name for alias in node.names):
                if not hasattr(module, name):
                    importlib.import_module(f"{node.module}.{name}")  # a module of the package
        elif isinstance(node, ast.Import):
            for name in (alias.name for alias in node.names if alias.name.split(".")[0] == "avsim"):
                importlib.import_module(name)
