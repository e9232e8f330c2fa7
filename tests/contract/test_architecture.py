"""What docs/architecture.md says about the code is true."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "architecture.md").read_text()
ROOMS, CHANGES = (
    re.findall(r"^\| (.+?) \| (.+) \|$", TEXT.split(f"## {title}\n")[1].split("\n## ")[0], re.M)[1:]
    for title in ("The rooms of `app/`", "Where a change goes")
)
EDITS = [
    (change, path, name)
    for change, where in CHANGES
    for path, names in re.findall(r"`([\w./-]+/[\w./-]+\.(?:py|md|json))`(?: \(([^)]*)\))?", where)
    for name in re.findall(r"`(\w+)`", names) or [None]
]


def names_in(path: Path) -> set[str]:
    """Everything that a module defines: functions, classes, constants, methods."""
    tree = ast.parse(path.read_text())
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                found |= {name.id for name in ast.walk(target) if isinstance(name, ast.Name)}
    return found


def test_the_table_of_changes_is_not_empty():
    assert len(CHANGES) >= 10
    assert len(EDITS) >= 15


@pytest.mark.parametrize(("change", "path", "name"), EDITS)
def test_a_change_goes_where_the_table_says(change, path, name):
    assert (ROOT / path).is_file(), f"{change}: there is no {path}"
    if name:
        assert name in names_in(ROOT / path), f"{change}: {path} has no {name}"


def test_every_room_is_described_and_exists():
    described = {path for paths, _ in ROOMS for path in re.findall(r"`app/([\w.]+)/?`", paths)}
    present = {
        path.name
        for path in (ROOT / "app").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    assert described == present - {"__init__.py"}


def test_the_rooms_are_in_the_order_of_the_import_contract():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = settings["tool"]["importlinter"]["contracts"]
    [layers] = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    in_contract = [name for layer in layers for name in re.split(r" [|:] ", layer)]
    in_document = [
        path.removesuffix(".py")
        for paths, _ in ROOMS
        for path in re.findall(r"`app/([\w.]+)/?`", paths)
    ]
    assert sorted(in_document, key=in_contract.index) == in_document
