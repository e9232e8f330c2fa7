"""The client, compared with what it follows: the OpenAPI document, and its own source."""

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from session_store import grounding, models

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS: dict[str, Any] = json.loads((ROOT / "docs" / "openapi.json").read_text())["components"][
    "schemas"
]

NOT_IN_THE_BODY = {"etag", "session_etag"}
"""Members that come from headers, where the schema has none of this name."""

ANSWERS = {
    "Session": (models.Session, set()),
    "SessionWithMessages": (models.OpenedSession, set()),
    "Message": (models.Message, set()),
    "EditedMessage": (models.Edited, set()),
    "GivenFeedback": (models.Feedback, set()),
    "LastMessage": (models.LastMessage, set()),
    "Origin": (models.Origin, set()),
    "ListedValue": (models.Value, {"json", "base64"}),  # both become `content`
    "Span": (grounding.Span, set()),
    "Locator": (grounding.Locator, set()),
    "Citation": (grounding.Citation, set()),
    "Source": (grounding.Source, set()),
    "ToolCall": (grounding.ToolCall, set()),
    "ToolResult": (grounding.ToolResult, set()),
    "Figure": (grounding.Figure, set()),
    "Figures": (grounding.Figures, set()),
    "MessageGrounding": (grounding.Grounding, set()),
    "SessionGrounding": (grounding.SessionGrounding, set()),
    "SourceAnswer": (grounding.SourceAnswer, set()),
    "SourceAnswers": (grounding.SourceAnswerPage, set()),
    "TenantSourceAnswer": (grounding.TenantSourceAnswer, set()),
    "TenantSourceAnswers": (grounding.TenantSourceAnswerPage, set()),
    "Verdict": (grounding.Verdict, set()),
    "Redaction": (grounding.Redaction, set()),
}

REQUESTS = {
    "NewSession": models.SessionToCreate,
    "SessionToCreate": models.SessionToCreate,
    "SessionPatch": models.Settings,
    "NewMessage": models.NewMessage,
    "Edit": models.NewMessage,
    "ImportedMessage": models.DatedMessage,
    "Write": models.Write,
    "Operation": models.Operation,
    "AppendedValues": models.Beside,
    "NewVerdict": grounding.NewVerdict,
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_has_the_members_of_its_schema(name):
    kind, renamed = ANSWERS[name]
    members = set(SCHEMAS[name]["properties"])
    ours = {each.name.rstrip("_") for each in fields(kind)}
    assert ours - NOT_IN_THE_BODY - {"content"} == members - renamed - NOT_IN_THE_BODY - {"content"}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_takes_the_members_of_its_schema(name):
    taken = set(REQUESTS[name].__annotations__)
    assert taken == set(SCHEMAS[name]["properties"]) - {"if_settings_version"}


ALSO_TOLD = {"AppendAnswer": models.Receipt, "AppendedMessages": models.Appended}
"""Of these the client takes a part."""


@pytest.mark.parametrize("name", ALSO_TOLD)
def test_what_is_not_indexed_is_told(name):
    assert "unindexed" in SCHEMAS[name]["properties"]
    assert "unindexed" in {each.name for each in fields(ALSO_TOLD[name])}


CHOICES = [
    (grounding.Citation, "Citation", ["anchor", "verdict", "member"]),
    (grounding.Source, "Source", ["identity", "verdict"]),
    (grounding.Locator, "Locator", ["unit"]),
    (grounding.Verdict, "Verdict", ["state"]),
    (grounding.NewVerdict, "NewVerdict", ["state"]),
]


@pytest.mark.parametrize(("kind", "name", "members"), CHOICES)
def test_a_choice_has_the_words_of_its_schema(kind, name, members):
    for member in members:
        words = get_args(get_type_hints(kind)[member])
        assert set(words) == set(SCHEMAS[name]["properties"][member]["enum"])


def test_the_synchronous_half_is_current():
    command = [sys.executable, str(ROOT / "clients" / "python" / "generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
