"""The JSON form of a message's metadata and references, and of the request it answers."""

from itertools import islice
from typing import Any

import marshmallow as ma

from app.errors import MAX_FAULTS
from app.grounding.verdicts import VERDICTS
from app.http.fields import JsonObject
from app.literals import Literal
from app.messages.references import reference_faults
from app.messages.rules import grounding_faults


class Metadata(JsonObject):
    """Any object. Only its `references` are checked, for what would harm a reader."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Literal:
        literal = super()._deserialize(value, attr, data, **kwargs)
        faults = islice(reference_faults(value.get("references")), MAX_FAULTS + 1)
        errors: dict[str | int, Any] = {}
        for path, message in faults:
            below = errors
            for step in ("references", *path):
                below = below.setdefault(step, {})
            below.setdefault("_schema", []).append(message)
        if errors:
            raise ma.ValidationError(errors)
        return literal


_REFERENCES = {
    "type": ["array", "null"],
    "items": {
        "type": "object",
        "required": ["reference_id"],
        "properties": {
            "reference_id": {
                "type": ["string", "number"],
                "minLength": 1,
                "example": "inc_abc123",
            },
            "type": {"type": ["string", "null"], "example": "report"},
            "summary": {"type": ["string", "null"], "example": "Pothole on Main St"},
            "url": {
                "type": ["string", "null"],
                "format": "uri-reference",
                "description": "Any address but one that runs a script",
            },
            "location": {
                "type": ["object", "null"],
                "description": "Any object. A GeoJSON Point must be on the globe",
                "additionalProperties": True,
            },
        },
        "additionalProperties": True,
    },
    "description": "The sources that ground an answer",
}

METADATA = {
    "type": "object",
    "description": "Any JSON object. Only `references` are checked",
    "properties": {"references": _REFERENCES},
    "additionalProperties": True,
}


class Request(JsonObject):
    """`{"request": {…}}`, kept as it was sent."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Literal:
        literal = super()._deserialize(value, attr, data, **kwargs)
        for path, message in grounding_faults(value):
            below = path.partition(".")[2]
            raise ma.ValidationError({below: [message]} if below else message)
        return literal


_REQUEST = {
    "type": "object",
    "description": "The provider's own request, or "
    '`{"documents": [{"index": 0, "key": …, "title": …, "text": …}]}`',
    "additionalProperties": True,
}

GROUNDING = {
    "type": "object",
    "description": "What the provider was sent, so that the numbers in its citations keep their "
    "meaning. It comes back as it was sent",
    "required": ["request"],
    "properties": {"request": _REQUEST},
    "additionalProperties": False,
}

_COUNT = {"type": "integer", "description": "Only with `include=grounding`"}

SHOWN_GROUNDING = {
    "type": "object",
    "description": "`request` is what the provider was sent, if the client gave it. With "
    "`include=grounding`, a message that cites anything also has a summary of its citations",
    "properties": {
        "request": _REQUEST,
        "citations": _COUNT,
        "sources": _COUNT,
        "dangling": _COUNT,
        "verdict": {
            "type": "string",
            "enum": list(VERDICTS),
            "description": "Only with `include=grounding`: the worst one",
        },
    },
    "additionalProperties": False,
}
