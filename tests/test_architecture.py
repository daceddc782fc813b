"""The spine holds: a room imports only rooms before it, and notebooks stay thin."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
SOURCE = PROJECT / "src" / "helpers"
BEFORE = {
    "core": set(),
    "readers": {"core"},
    "study": {"core", "readers"},
    "cohort": {"core", "readers", "study"},
    "assays": {"core", "readers", "study"},
    "stats": {"core", "readers", "study", "cohort", "assays"},
    "analysis": {"core", "readers", "study", "cohort", "assays", "stats"},
    "figures": {"core", "readers", "study", "cohort", "assays", "stats", "analysis"},
    "tables": {"core", "readers", "study", "cohort", "assays", "stats", "analysis"},
    "widgets": {"core", "readers", "study", "cohort", "assays", "stats", "analysis", "figures", "tables"},
    "report": {"core", "readers", "study", "cohort", "assays", "stats", "analysis", "figures", "tables"},
    "simulate": {"core", "readers"},
    "cli": {
        "core",
        "readers",
        "study",
        "cohort",
        "assays",
        "stats",
        "analysis",
        "figures",
        "tables",
        "report",
        "simulate",
    },
}
NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [f"{node.module}.{a.name}" for a in node.names]
        elif isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            pytest.fail(f"{path.name} has a relative import; write the room's name")
        rooms |= {n.split(".")[1] for n in names if n.startswith("helpers.")}
    return rooms - {"__version__"}


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: p.relative_to(SOURCE).as_posix())
def test_a_room_imports_only_rooms_before_it(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        assert imported_rooms(path) == set()
        return
    wrong = imported_rooms(path) - BEFORE[room] - {room}
    assert not wrong, f"{path.relative_to(SOURCE)} imports from a later room: {sorted(wrong)}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_are_thin(path: Path) -> None:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    code = [c for c in notebook["cells"] if c["cell_type"] == "code"]
    prose = sum(len("".join(c["source"]).split()) for c in notebook["cells"] if c["cell_type"] == "markdown")
    assert code[0]["metadata"].get("tags") == ["parameters"], "the first code cell holds the parameters"
    for cell in code:
        source = "".join(cell["source"])
        tree = ast.parse(source)
        assert len(cell["source"]) <= 8, f"a cell of {len(cell['source'])} lines"
        banned = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.For, ast.While, ast.Lambda)
        assert not any(isinstance(n, banned) for n in ast.walk(tree)), f"logic in a cell: {source}"
        assert not any(isinstance(n, ast.BinOp) for n in ast.walk(tree)), f"arithmetic in a cell: {source}"
        assert "sys.path" not in source and "../" not in source
    words = sum(len("".join(c["source"]).split()) for c in code)
    assert prose > words, "a notebook has more words than code"
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"


def test_pingouin_is_called_from_one_module() -> None:
    users = [p.name for p in SOURCE.rglob("*.py") if "import pingouin" in p.read_text(encoding="utf-8")]
    assert users == ["recomputed.py"], "pingouin's column names belong in one module"
