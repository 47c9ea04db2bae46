"""Imports run downwards only: a room may use its own floor and those below."""

import ast
from pathlib import Path

import pytest

import wellposed

ROOT = Path(wellposed.__file__).parent
FLOORS = (
    {"_version", "errors", "checks", "rng", "linalg", "multilinear", "files", "codec",
     "diagnostics"},
    {"operators", "noise", "problem", "schedules"},
    {"task"},
    {"priors"},
    {"lowrank", "bilinear", "samplers", "posterior"},
    {"run", "store", "progress", "result", "result_tensor", "defaults", "selection",
     "selection_tensor", "gaps", "growth", "baselines", "recovery", "training", "inference",
     "uncertainty",
     "sampling", "generation", "shards", "draws", "density", "resuming"},
    {"io", "datasets"},
    {"evaluation", "theory"},
    {"jobs", "report", "cluster"},
    {"cli"},
    {"__init__", "__main__"},
)  # fmt: skip
LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}


def imported_rooms(source: str) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "wellposed":
                names = [f"wellposed.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        rooms |= {name.split(".")[1] for name in names if name.startswith("wellposed.")}
    return rooms


def upward(room: str, source: str) -> set[str]:
    return {other for other in imported_rooms(source) if LEVEL[other] > LEVEL[room]}


FILES = sorted(ROOT.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_downwards(path):
    room = path.relative_to(ROOT).parts[0].removesuffix(".py")
    assert upward(room, path.read_text()) == set()


def test_an_upward_import_is_seen():
    assert upward("rng", "from wellposed.run import Driver") == {"run"}
    assert upward("lowrank", "def f():\n    import wellposed.store") == {"store"}


def test_files_and_functions_stay_small():
    long_files = [p.name for p in FILES if p.read_text().count("\n") > 500]
    long_functions = [
        f"{path.name}:{node.name}"
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno >= 80
    ]
    assert long_files == []
    assert long_functions == []


def test_nothing_is_unpickled_or_evaluated_and_no_assert_is_left():
    risky = {"eval", "exec", "pickle", "marshal", "shelve"}
    arrays_only = ROOT / "datasets" / "lpips.py"  # an unpickler that is tested to build no more
    seen = []
    for path in FILES:
        banned = risky - {"pickle"} if path == arrays_only else risky
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Assert):
                seen.append(f"{path.name}:{node.lineno} assert")
            if isinstance(node, ast.Name) and node.id in banned:
                seen.append(f"{path.name}:{node.lineno} {node.id}")
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = [a.name for a in node.names] + [getattr(node, "module", "") or ""]
                seen += [f"{path.name} {n}" for n in names if n.split(".")[0] in banned]
    assert seen == []
