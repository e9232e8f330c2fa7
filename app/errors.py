"""The errors of the API, shown to clients as RFC 9457 problem details.

Each class has a status, a stable `code` and a title. Builtin exceptions never become a 4xx: they
become a 500 that reveals no internals. No Flask here, because the stores raise these errors.

This module is over 250 lines because every error that a client can get is here.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar, Self, TypedDict

PROBLEM_JSON = "application/problem+json"

MAX_FAULTS = 20
"""A problem lists at most this many faults. A check may stop once it has found one more."""

MAX_FAULT_TEXT = 200
"""Characters of a fault's path, and of its message. A path contains names chosen by the client."""


class FieldError(TypedDict):
    """One invalid part of a request. `field` is a JSON path such as `metadata.references[0].url`;
    `location` is json, query or headers."""

    location: str
    field: str
    message: str


class ApiError(Exception):
    """`repeatable` says whether the same request may succeed later and is safe to send again."""

    status: ClassVar[int]
    code: ClassVar[str]
    title: ClassVar[str]
    detail: ClassVar[str]
    repeatable: ClassVar[bool] = False

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        """`members` are added to the problem's own (RFC 9457 section 3.2)."""
        super().__init__(detail or self.detail)
        self.errors = errors
        self.headers = dict(headers or {})
        self.members = members or {}

    @property
    def brief(self) -> dict[str, Any]:
        """For one of several outcomes in an answer."""
        told = {"status": self.status, "code": self.code, "title": self.title, "detail": str(self)}
        faults = {"errors": list(self.errors)} if self.errors else {}
        return {**told, **faults, **self.members}

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
    """The body of an error response (https://www.rfc-editor.org/rfc/rfc9457#section-3)."""
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
    """`error` is an error code of RFC 6750. The client gets no other reason, because it would help
    a forger. `reason` is a word for the log."""

    status, code, title = 401, "UNAUTHORIZED", "Unauthorized"
    detail = "A valid bearer token is required."

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
    """The session is absent, expired, being deleted or another user's. The client cannot tell
    which."""

    status, code, title = 404, "SESSION_NOT_FOUND", "Session not found"
    detail = "There is no such session."


class MessageNotFound(ApiError):
    status, code, title = 404, "MESSAGE_NOT_FOUND", "Message not found"
    detail = "There is no such message in this session."


class FeedbackNotFound(ApiError):
    status, code, title = 404, "FEEDBACK_NOT_FOUND", "Feedback not found"
    detail = "You have given no feedback on this message."


class SourceNotFound(ApiError):
    """Not a hash. A hash that no answer cites is no error: the list is empty."""

    status, code, title = 404, "SOURCE_NOT_FOUND", "Source not found"
    detail = "The hash of a source has 32 hexadecimal digits, in lower case."


class ValueNotFound(ApiError):
    status, code, title = 404, "VALUE_NOT_FOUND", "Value not found"
    detail = "There is no value of this name."


class VerdictNotFound(ApiError):
    status, code, title = 404, "VERDICT_NOT_FOUND", "Verdict not found"
    detail = "Nobody has said what became of this source."


class NotAcceptable(ApiError):
    """API Gateway would send the bytes as base64 text."""

    status, code, title = 406, "NOT_ACCEPTABLE", "Not acceptable"
    detail = (
        "This value is not JSON. API Gateway sends bytes only to a client that asks for them: send "
        "Accept: application/octet-stream, or an Accept that begins with it. Value-Type has the "
        "value's own type."
    )


class ValueNotJson(ApiError):
    status, code, title = 409, "VALUE_NOT_JSON", "The value is not JSON"
    detail = "Only a JSON value can be merged with a patch."


class TooManyRaters(ApiError):
    status, code, title = 409, "TOO_MANY_RATERS", "Too many have rated this message"
    detail = "No more can give feedback on this message."


class GoneSince(ApiError):
    """A repeated request whose result no longer exists. It is not carried out again."""

    status, code, title = 410, "GONE_SINCE", "The result no longer exists"
    detail = (
        "An earlier request with this Idempotency-Key was carried out. What it created (see ids) "
        "has since been deleted or has expired."
    )

    def __init__(self, *created: str) -> None:
        super().__init__(members={"ids": list(created)})


class PreconditionFailed(ApiError):
    status, code, title = 412, "PRECONDITION_FAILED", "Precondition failed"
    detail = "The session has changed: its current ETag is not in If-Match."


class SettingsChanged(PreconditionFailed):
    code, title = "SETTINGS_CHANGED", "The settings have changed"
    detail = (
        "Somebody has changed the session's title, metadata, flags or retention since the version "
        "in if_settings_version (see settings_version for the present one)."
    )

    def __init__(self, settings_version: int) -> None:
        super().__init__(members={"settings_version": settings_version})


class MessageChanged(PreconditionFailed):
    detail = "The message has changed: its current ETag is not in If-Match."


class ValueChanged(PreconditionFailed):
    """`etag` is the present one, None if there is no such value."""

    code, title = "VALUE_CHANGED", "The value has changed"
    detail = "The value is not what If-Match or If-None-Match asks for (see etag for what it is)."

    def __init__(self, etag: str | None) -> None:
        super().__init__(members={"etag": etag})


class VerdictChanged(PreconditionFailed):
    """`etag` is the present one, None if there is no verdict."""

    code, title = "VERDICT_CHANGED", "The verdict has changed"
    detail = "The verdict is not what If-Match or If-None-Match asks for (see etag for what it is)."

    def __init__(self, etag: str | None) -> None:
        super().__init__(members={"etag": etag})


class ValuesNotWritten(PreconditionFailed):
    """`outcomes` has the error of each operation, or None."""

    code, title = "VALUES_NOT_WRITTEN", "Nothing was written"
    detail = "The precondition of at least one value does not hold (see results)."

    def __init__(self, outcomes: Mapping[str, Any] | Sequence[Any]) -> None:
        def results(outcomes: Sequence[Any]) -> list[dict[str, Any]]:
            fine = {"status": 424}  # https://www.rfc-editor.org/rfc/rfc4918#section-11.4
            return [each.brief if isinstance(each, ApiError) else fine for each in outcomes]

        if isinstance(outcomes, Mapping):
            told: Any = {place: results(each) for place, each in outcomes.items()}
        else:
            told = results(outcomes)
        super().__init__(members={"results": told})


class NotTheLastMessage(ApiError):
    """`last_message_id` is None if the session has no messages."""

    status, code, title = 412, "NOT_THE_LAST_MESSAGE", "Not the last message"
    detail = (
        "The message in `after` is not the session's last one (see last_message_id). Read the "
        "messages in between, then append after the last one."
    )

    def __init__(self, last_message_id: str | None) -> None:
        super().__init__(members={"last_message_id": last_message_id})


class SessionExists(ApiError):
    """The request had `If-None-Match: *`."""

    status, code, title = 409, "SESSION_EXISTS", "The session exists"
    detail = "There is a session with this key already (see session_id)."

    def __init__(self, session_id: str) -> None:
        super().__init__(members={"session_id": session_id})


class Contended(ApiError):
    """A change that depends on what was read lost the race against other writers too often."""

    status, code, title = 409, "CONTENDED", "Others keep changing it"
    repeatable = True
    detail = "Other writers were first each time. Nothing was written. Try again."


class TooLarge(ApiError):
    status, code, title = 413, "TOO_LARGE", "Too large"
    detail = "The request is larger than this API accepts."


class UnsupportedMediaType(ApiError):
    status, code, title = 415, "UNSUPPORTED_MEDIA_TYPE", "Unsupported media type"
    detail = "Send the body as Content-Type: application/json, in UTF-8."


class ValidationFailed(ApiError):
    """Lists the first `MAX_FAULTS` of `errors`. Takes at most one more from the iterable, to see
    whether there are more."""

    status, code, title = 422, "VALIDATION_FAILED", "The request does not match the schema"
    detail = "See errors for the invalid fields and the reasons."

    def __init__(self, errors: Iterable[FieldError]) -> None:
        found = [
            FieldError(
                location=error["location"],
                field=_cut(error["field"]),
                message=_cut(error["message"]),
            )
            for error in islice(errors, MAX_FAULTS + 1)
        ]
        more = f" There are more than the {MAX_FAULTS} listed."
        super().__init__(
            self.detail + (more if len(found) > MAX_FAULTS else ""), errors=found[:MAX_FAULTS]
        )

    @classmethod
    def of_json(cls, faults: Iterable[tuple[str, str]]) -> Self:
        """`faults` are pairs of a JSON path and a message about the body."""
        return cls(
            FieldError(location="json", field=path, message=message) for path, message in faults
        )


def _cut(text: str) -> str:
    return text if len(text) <= MAX_FAULT_TEXT else f"{text[:MAX_FAULT_TEXT]}…"


class InvalidCursor(ApiError):
    status, code, title = 422, "INVALID_CURSOR", "Invalid cursor"
    detail = "The cursor is not from this list in this order. Start again without a cursor."


class IdempotencyKeyReused(ApiError):
    """https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/ section 2.7"""

    status, code, title = 422, "IDEMPOTENCY_KEY_REUSED", "Idempotency-Key already used"
    detail = "This Idempotency-Key was used for a different request. Use a new one."


class QuotaExceeded(ApiError):
    """A quota of the day is used up. `policies` are the names of these quotas in `RateLimit`."""

    status, code, title = 429, "QUOTA_EXCEEDED", "The quota is used up"
    detail = (
        "The tenant or the user has used up a quota of this day (see violated_policies). The days "
        "are those of UTC. Deletes and exports are still possible."
    )

    def __init__(self, policies: Sequence[str] = (), retry_after: int = 1) -> None:
        super().__init__(
            headers={"Retry-After": str(retry_after)}, members={"violated_policies": list(policies)}
        )


class RateExceeded(QuotaExceeded):
    code, title = "RATE_EXCEEDED", "Too many requests"
    repeatable = True
    detail = (
        "The tenant or the user sends more requests per second than are allowed (see "
        "violated_policies). Wait as long as Retry-After says."
    )


class SessionDamaged(ApiError):
    status, code, title = 500, "SESSION_DAMAGED", "The stored session is damaged"
    detail = (
        "Part of the stored session is missing or broken. Its messages can still be listed, and "
        "it can be deleted. The operator's check command shows what is wrong."
    )


class ValueDamaged(ApiError):
    status, code, title = 500, "VALUE_DAMAGED", "The stored value is damaged"
    detail = "The value cannot be read as it was written. It can be replaced or deleted."


class VerdictDamaged(ApiError):
    status, code, title = 500, "VERDICT_DAMAGED", "The stored verdict is damaged"
    detail = "The verdict cannot be read as it was written. It can be replaced."


class Unavailable(ApiError):
    """Nothing was written, so the client can send the same request again."""

    status, code, title = 503, "STORE_UNAVAILABLE", "Try again"
    repeatable = True
    detail = "The database did not accept the request in time. Nothing was written."

    def __init__(self, detail: str | None = None, *, retry_after: int = 1) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)})


class NotReady(ApiError):
    """`parts` are what the service lacks. The log says why."""

    status, code, title = 503, "NOT_READY", "Not ready"
    repeatable = True
    detail = "The service cannot answer requests at the moment (see not_ready)."

    def __init__(self, parts: Sequence[str]) -> None:
        super().__init__(
            headers={"Retry-After": "1", "Cache-Control": "no-store"},
            members={"not_ready": list(parts)},
        )


class ClockDisagrees(Unavailable):
    """This host's clock differs so much from the database's that ids and expiry times made from it
    would be wrong."""

    detail = "The server's clock is wrong. Nothing was written."


class OutcomeUnknown(Unavailable):
    """The connection broke after the write was sent. An Idempotency-Key makes it safe to repeat; a
    POST without one is not."""

    code = "OUTCOME_UNKNOWN"
    detail = (
        "The database did not answer in time, so the write may or may not have succeeded. "
        "Send the request again with the same Idempotency-Key."
    )


class IssuerMisconfigured(ApiError):
    """Has no Retry-After: only the operator of the service or of the issuer can fix this."""

    status, code, title = 503, "ISSUER_MISCONFIGURED", "Configuration error"
    detail = (
        "The issuer publishes keys, but none can verify a token: the type, algorithm or use "
        "is not supported, or the kid is not unique. Trying again does not help."
    )
