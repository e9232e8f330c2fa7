"""Each line of docs/production.md has a command or a test, and those that it names exist."""

import re
from pathlib import Path

import pytest

from app.config import Config
from app.operations import cli
from tests.people import SECRET

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "production.md").read_text()
LINES = [
    line for line in re.findall(r"^\| (.+) \|$", TEXT, re.M) if not line.startswith(("|", "---"))
][1:]


@pytest.mark.parametrize("line", [line for line in LINES if " | " in line])
def test_a_line_has_a_command_or_a_test(line):
    _, what = re.split(r" (?<!\\)\| ", line, maxsplit=1)
    assert "`" in what or "](" in what or "command" in what.lower(), line


def test_the_tests_and_scripts_exist():
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", TEXT))
    named |= set(re.findall(r"\./(scripts/\w+)", TEXT))
    assert len(named) >= 15
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_commands_exist(app):
    cli.init_app(app, Config(sessions_table="none", jwt_secret=SECRET))
    commands = set(re.findall(r"scripts/flask --stage STAGE (\w+)", TEXT))
    assert {"restore", "check", "erase", "export", "table"} <= commands
    assert commands - {"routes"} <= set(app.cli.commands)


def test_the_links_lead_somewhere():
    for page, _, anchor in re.findall(r"\]\(([\w.]+)(#([\w-]+))?\)", TEXT):
        headings = re.findall(r"^#+ (.+)$", (ROOT / "docs" / page).read_text(), re.M)
        names = {re.sub(r"[^\w -]", "", name).lower().replace(" ", "-") for name in headings}
        assert not anchor or anchor in names, (page, anchor)
