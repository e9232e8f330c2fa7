"""The client, compared with what it follows: the OpenAPI document, and its own source."""

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from session_store import models

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
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_has_the_members_of_its_schema(name):
    kind, renamed = ANSWERS[name]
    members = set(SCHEMAS[name]["properties"])
    ours = {each.name for each in fields(kind)}
    assert ours - NOT_IN_THE_BODY - {"content"} == members - renamed - NOT_IN_THE_BODY - {"content"}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_takes_the_members_of_its_schema(name):
    taken = set(REQUESTS[name].__annotations__)
    assert taken == set(SCHEMAS[name]["properties"]) - {"if_settings_version"}


def test_the_synchronous_half_is_current():
    command = [sys.executable, str(ROOT / "clients" / "python" / "generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
