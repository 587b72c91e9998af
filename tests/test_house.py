"""The house stands as drawn: floors, landlords and the size of rooms."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = sorted((ROOT / "rotator").rglob("*.py"))


def test_every_import_goes_down_and_each_dependency_has_one_landlord():
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from importlinter.cli import lint_imports_command as c; sys.exit(c())"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.relative_to(ROOT)))
def test_a_room_says_in_its_first_line_what_it_knows_and_is_small(room):
    text = room.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "a module says what it knows"
    assert len(text.splitlines()) <= 340
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            assert lines <= 60, f"{node.name} has {lines} lines"


def test_the_top_level_holds_what_the_design_names_and_nothing_else():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    tops = {line.partition("/")[0] for line in tracked.stdout.splitlines()}
    allowed = {"pyproject.toml", "README.md", "rotator", "schemas", "tests", "fixtures", "LICENSE", "CHANGELOG.md"}
    assert {top for top in tops if not top.startswith(".")} <= allowed


def test_every_token_in_fixtures_is_fake():
    import json

    def tokens(value, key=""):
        if isinstance(value, dict):
            for name, part in value.items():
                yield from tokens(part, name)
        elif isinstance(value, list):
            for part in value:
                yield from tokens(part, key)
        elif isinstance(value, str) and key in ("api_key", "access_token", "refresh_token"):
            yield value

    for path in (ROOT / "fixtures").rglob("*.json"):
        try:
            document = json.loads(path.read_text(encoding="utf-8-sig"))
        except ValueError:
            continue
        assert all(token.startswith("fake-") for token in tokens(document)), path
