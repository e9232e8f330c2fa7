"""Every way a request can fail, and what the client is told: RFC 9457 problem details.

Each class carries its status, its stable `code` and its title. Nothing else becomes a 4xx; what is
not one of these is a 500 that says nothing of the inside. No Flask here: the stores raise these.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar, Self, TypedDict

PROBLEM_JSON = "application/problem+json"

MAX_FAULTS = 20
"""How many faults of a request are named. Whoever looks for faults may stop at one more."""

MAX_FAULT_TEXT = 200
"""Characters of a fault's path and of its message. A path holds names that the client chose."""


class FieldError(TypedDict):
    """Which part of the request is at fault: `field` is a JSON path such as
    `metadata.references[0].url`, `location` is json, query or headers."""

    location: str
    field: str
    message: str


class ApiError(Exception):
    status: ClassVar[int]
    code: ClassVar[str]
    title: ClassVar[str]
    detail: ClassVar[str]

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        """`members` extend the problem (RFC 9457 section 3.2)."""
        super().__init__(detail or self.detail)
        self.errors = errors
        self.headers = dict(headers or {})
        self.members = members or {}

    def problem(self, request_id: str) -> dict[str, Any]:
        body = problem(
            self.status, self.code, self.title, str(self), request_id, errors=self.errors
        )
        return {**body, **self.members}


def problem(
    status: int,
    code: str,
    title: str,
    detail: str,
    request_id: str,
    *,
    errors: Sequence[FieldError] = (),
) -> dict[str, Any]:
    """The body of an error answer (https://www.rfc-editor.org/rfc/rfc9457#section-3)."""
    return {
        "type": f"urn:problem-type:{code.lower().replace('_', '-')}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "errors": list(errors),
        "request_id": request_id,
    }


class MalformedJson(ApiError):
    status, code, title = 400, "MALFORMED_JSON", "The body is not JSON"
    detail = "The request body is not a JSON text (RFC 8259)."


class Unauthorized(ApiError):
    """`error` is one of RFC 6750's; no reason beyond it is given, since it would help a forger.
    `reason` is a word for the log."""

    status, code, title = 401, "UNAUTHORIZED", "Unauthorized"
    detail = "A valid bearer token is needed."

    def __init__(self, *, error: str | None = "invalid_token", reason: str = "invalid") -> None:
        challenge = 'Bearer realm="sessions"' + (f', error="{error}"' if error else "")
        super().__init__(headers={"WWW-Authenticate": challenge})
        self.reason = reason


class Forbidden(ApiError):
    status, code, title = 403, "INSUFFICIENT_SCOPE", "Forbidden"
    detail = "The token does not allow this."

    def __init__(self, scope: str) -> None:
        super().__init__(
            f"The token lacks the scope {scope}.",
            headers={
                "WWW-Authenticate": 'Bearer realm="sessions", error="insufficient_scope", '
                f'scope="{scope}"'
            },
        )


class SessionNotFound(ApiError):
    """Absent, expired, being deleted or somebody else's: the answer is the same."""

    status, code, title = 404, "SESSION_NOT_FOUND", "Session not found"
    detail = "There is no such session."


class MessageNotFound(ApiError):
    status, code, title = 404, "MESSAGE_NOT_FOUND", "Message not found"
    detail = "There is no such message in this session."


class GoneSince(ApiError):
    """A repeated request whose result no longer exists: it is not carried out a second time."""

    status, code, title = 410, "GONE_SINCE", "Carried out before, and gone since"
    detail = (
        "A request with this Idempotency-Key was carried out before. What it created (ids) has "
        "been deleted or has expired since."
    )

    def __init__(self, *created: str) -> None:
        super().__init__(members={"ids": list(created)})


class PreconditionFailed(ApiError):
    status, code, title = 412, "PRECONDITION_FAILED", "Precondition failed"
    detail = "The session has changed: its ETag is none of those in If-Match."


class NotTheLastMessage(ApiError):
    """`last_message_id` is None if the session has no messages."""

    status, code, title = 412, "NOT_THE_LAST_MESSAGE", "The session has gone on"
    detail = (
        "The session's last message is not the one in `after`. Read what came since "
        "(last_message_id is the last), then append after that."
    )

    def __init__(self, last_message_id: str | None) -> None:
        super().__init__(members={"last_message_id": last_message_id})


class TooLarge(ApiError):
    status, code, title = 413, "TOO_LARGE", "Too large"
    detail = "The request is larger than this API takes."


class UnsupportedMediaType(ApiError):
    status, code, title = 415, "UNSUPPORTED_MEDIA_TYPE", "Unsupported media type"
    detail = "Send the body as Content-Type: application/json, in UTF-8."


class ValidationFailed(ApiError):
    """Names the first `MAX_FAULTS` of `errors` and takes no more of them than that and one."""

    status, code, title = 422, "VALIDATION_FAILED", "The request does not fit the schema"
    detail = "See errors: which field, and why."

    def __init__(self, errors: Iterable[FieldError]) -> None:
        found = [
            FieldError(
                location=error["location"],
                field=_cut(error["field"]),
                message=_cut(error["message"]),
            )
            for error in islice(errors, MAX_FAULTS + 1)
        ]
        more = f" There are more; these are the first {MAX_FAULTS}."
        super().__init__(
            self.detail + (more if len(found) > MAX_FAULTS else ""), errors=found[:MAX_FAULTS]
        )

    @classmethod
    def of_json(cls, faults: Iterable[tuple[str, str]]) -> Self:
        """From paths and messages about a JSON value."""
        return cls(
            FieldError(location="json", field=path, message=message) for path, message in faults
        )


def _cut(text: str) -> str:
    return text if len(text) <= MAX_FAULT_TEXT else f"{text[:MAX_FAULT_TEXT]}…"


class InvalidCursor(ApiError):
    status, code, title = 422, "INVALID_CURSOR", "Invalid cursor"
    detail = "The cursor was not given out for this list, in this order. Start again without one."


class IdempotencyKeyReused(ApiError):
    """https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/ section 2.7"""

    status, code, title = 422, "IDEMPOTENCY_KEY_REUSED", "Idempotency-Key was used already"
    detail = "This Idempotency-Key came with another request before. Use a new one."


class SessionDamaged(ApiError):
    status, code, title = 500, "SESSION_DAMAGED", "The stored session is damaged"
    detail = (
        "A part of the stored session is missing or broken. Its messages can be read as a list, "
        "and it can be deleted; the operator's check names what is wrong."
    )


class Unavailable(ApiError):
    """Nothing was written: the same request may be sent again as it is."""

    status, code, title = 503, "STORE_UNAVAILABLE", "Try again"
    detail = "The database did not take the request in time. Nothing was written."

    def __init__(self, detail: str | None = None, *, retry_after: int = 1) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)})


class ClockDisagrees(Unavailable):
    """This host's clock is too far from the database's to make ids and expiry times of it."""

    detail = "The clock of the server that took the request is wrong. Nothing was written."


class OutcomeUnknown(Unavailable):
    """The connection broke after the request had left. An Idempotency-Key makes repeating safe."""

    code = "OUTCOME_UNKNOWN"
    detail = (
        "The database did not answer in time, so it is not known whether this was written. "
        "Send it again with the same Idempotency-Key."
    )


class IssuerMisconfigured(ApiError):
    """No Retry-After: only whoever runs the service or the issuer can mend this."""

    status, code, title = 503, "ISSUER_MISCONFIGURED", "Configuration error"
    detail = (
        "The issuer's keys are there, but none of them can verify a token: a type, an algorithm or "
        "a use that is not supported, or a kid that is not unique. Trying again does not help."
    )
