"""The JSON form of citations, sources and figures, and of the neutral view of messages."""

import marshmallow as ma
from marshmallow import fields, validate

from app.grounding.figures import NAMES
from app.grounding.verdicts import CHANGED, CURRENT, UNGOVERNED, VERDICTS, WITHDRAWN
from app.http.fields import JsonValue, Schema, WholeNumber, cursor

VIEW = fields.String(
    validate=validate.Regexp(r"neutral\Z", error="Must be equal to neutral."),
    metadata={
        "pattern": "^neutral$",
        "description": "`neutral`: messages of any provider in one form. `content` is the text; "
        "calls of tools, their results, citations and sources stand beside it",
    },
)

INCLUDE = fields.String(
    validate=validate.Regexp(r"grounding\Z", error="Must be equal to grounding."),
    metadata={
        "pattern": "^grounding$",
        "description": "`grounding`: the `grounding` of each message that cites something has the "
        "numbers of its citations and sources, and the worst verdict",
    },
)


def offsets(what: str) -> fields.String:
    return fields.String(
        validate=validate.OneOf(("codepoints", "utf16")),
        metadata={
            "description": f"The unit of offsets {what}: `codepoints`, which is the default, or "
            "`utf16`, as browsers count"
        },
    )


class SpanSchema(ma.Schema):
    path = fields.String(required=True, metadata={"description": "JSON Pointer to a string"})
    start = fields.Integer(required=True)
    end = fields.Integer(required=True, metadata={"description": "The offset after the last one"})


class LocatorSchema(ma.Schema):
    unit = fields.String(required=True, validate=validate.OneOf(("char", "page", "block", "chunk")))
    start = fields.Integer(required=True, metadata={"description": "Pages count from 1"})
    end = fields.Integer(required=True, metadata={"description": "The one after the last"})


class CitationSchema(ma.Schema):
    message_id = fields.String(metadata={"description": "Only in the grounding of a session"})
    anchor = fields.String(
        required=True,
        validate=validate.OneOf(("claim", "marker", "point", "block", "message")),
        metadata={
            "description": "What it stands at: the claim itself, a marker beside it, a point "
            "between two characters, the block of text it is for, or no place in the message"
        },
    )
    text = fields.String(
        required=True, allow_none=True, metadata={"description": "What stands there"}
    )
    at = fields.List(
        fields.Nested(SpanSchema),
        required=True,
        metadata={"description": "Several if it crosses strings; empty without a position"},
    )
    source = fields.String(
        required=True, allow_none=True, metadata={"description": "The source's `key`"}
    )
    resolves = fields.Boolean(
        required=True,
        metadata={"description": "Whether it leads from a place, or the message, to a source"},
    )
    reason = fields.String(
        required=True, allow_none=True, metadata={"description": "Why it does not resolve"}
    )
    quote = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "What the source says; null if it was withdrawn"},
    )
    locator = fields.Nested(
        LocatorSchema, required=True, allow_none=True, metadata={"description": "In the source"}
    )
    score = fields.Float(required=True, allow_none=True)
    verdict = fields.String(
        required=True,
        validate=validate.OneOf(VERDICTS),
        metadata={
            "description": "What the tenant has said became of the source; `dangling` if it is "
            "neither withdrawn nor changed and the citation does not resolve"
        },
    )
    member = fields.String(
        required=True,
        validate=validate.OneOf(("native", "content", "metadata")),
        metadata={"description": "The member of the message into which `at` and `from` lead"},
    )
    from_ = fields.String(
        data_key="from",
        required=True,
        metadata={"description": "JSON Pointer to the provider's own object"},
    )


class SourceSchema(ma.Schema):
    hash = fields.String(required=True, metadata={"description": "Of the key, in hexadecimal"})
    key = fields.String(required=True, metadata={"example": "url:https://example.com/report"})
    kind = fields.String(required=True, metadata={"example": "url"})
    title = fields.String(required=True, allow_none=True)
    raw = fields.String(required=True, metadata={"description": "What the provider calls it"})
    version = fields.String(required=True, allow_none=True)
    identity = fields.String(
        required=True,
        validate=validate.OneOf(("strong", "weak", "redirect")),
        metadata={
            "description": "`weak`: the key may not name the same thing elsewhere. `redirect`: an "
            "address that the provider made"
        },
    )
    cited = fields.Boolean(
        required=True,
        metadata={"description": "false: the model was given it but cites it nowhere"},
    )
    verdict = fields.String(
        required=True,
        validate=validate.OneOf((WITHDRAWN, CHANGED, UNGOVERNED, CURRENT)),
        metadata={"description": "For this version of it"},
    )


class FigureSchema(ma.Schema):
    numerator = fields.Integer(required=True, allow_none=True)
    denominator = fields.Integer(required=True)
    anchors = fields.List(
        fields.String(),
        required=True,
        metadata={"description": "The kinds of anchor that the figure rests on"},
    )


FiguresSchema = ma.Schema.from_dict(
    {name: fields.Nested(FigureSchema, required=True) for name in NAMES}, name="FiguresSchema"
)

TRUNCATED = fields.Boolean(
    required=True,
    metadata={
        "description": "Whether a message has more citations than there is room for, or than are "
        "looked at"
    },
)


class MessageGroundingSchema(ma.Schema):
    citations = fields.List(fields.Nested(CitationSchema), required=True)
    sources = fields.List(
        fields.Nested(SourceSchema),
        required=True,
        metadata={"description": "Each once, in order of first use; then those never cited"},
    )
    figures = fields.Nested(FiguresSchema, required=True)
    truncated = TRUNCATED


class SessionGroundingSchema(MessageGroundingSchema):
    checked_messages = fields.Integer(required=True)
    next_cursor = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The `cursor` of the next messages; null if there are none"},
    )
    earlier_cursor = fields.String(
        allow_none=True,
        metadata={
            "description": "Only if the request had `messages`: the `cursor` of the messages "
            "before these, with `order=desc`"
        },
    )


class MessageGroundingQuerySchema(Schema):
    offsets = offsets("in the message")


class SessionGroundingQuerySchema(MessageGroundingQuerySchema):
    messages = WholeNumber(
        validate=validate.Range(1, 1000),
        metadata={"description": "Only the last so many messages. Not with `cursor`"},
    )
    cursor = cursor()
    order = fields.String(
        load_default="asc",
        validate=validate.OneOf(("asc", "desc")),
        metadata={"description": "`asc`: oldest first; `desc`: latest first. Not with `messages`"},
    )

    @ma.validates_schema
    def _one(self, data: dict[str, str], **_: object) -> None:
        if "messages" in data and "cursor" in data:
            raise ma.ValidationError("Give messages or cursor, not both.")


class ToolCallSchema(ma.Schema):
    id = fields.String(required=True, allow_none=True)
    name = fields.String(required=True, allow_none=True)
    by_provider = fields.Boolean(
        required=True, metadata={"description": "Whether the provider runs the tool itself"}
    )
    arguments = JsonValue(required=True, allow_none=True)
    member = fields.String(required=True)
    from_ = fields.String(data_key="from", required=True)


class ToolResultSchema(ma.Schema):
    call_id = fields.String(required=True, allow_none=True)
    name = fields.String(required=True, allow_none=True)
    content = JsonValue(required=True, allow_none=True)
    member = fields.String(required=True)
    from_ = fields.String(data_key="from", required=True)


ONLY_NEUTRAL = {"description": "Only in the neutral view"}


class NeutralMembersSchema(ma.Schema):
    """What a neutral view adds to a message."""

    tool_calls = fields.List(fields.Nested(ToolCallSchema), metadata=ONLY_NEUTRAL)
    tool_results = fields.List(fields.Nested(ToolResultSchema), metadata=ONLY_NEUTRAL)
    citations = fields.List(fields.Nested(CitationSchema), metadata=ONLY_NEUTRAL)
    sources = fields.List(fields.Nested(SourceSchema), metadata=ONLY_NEUTRAL)
    truncated = fields.Boolean(
        metadata={"description": "Only in the neutral view: whether not all of these fit"}
    )
