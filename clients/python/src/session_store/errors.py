"""What goes wrong, as exceptions. `ApiError.code` is the stable code of the problem (RFC 9457)."""

from collections.abc import Mapping
from typing import Any, TypedDict


class FieldError(TypedDict):
    """One invalid part of a request. `location` is json, query or headers; `field` is a path such
    as `metadata.references[0].url`."""

    location: str
    field: str
    message: str


class SessionStoreError(Exception):
    """Any error of this package."""


class ConnectionFailed(SessionStoreError):
    """No answer came, even after the retries. Whether the request was carried out is not known."""


class TokenRefused(SessionStoreError):
    """The token endpoint gave no token for the client credentials."""


class ApiError(SessionStoreError):
    """The service refused a request.

    `code` is one of the codes in the OpenAPI document, or the name of the status if the answer came
    from a proxy. `problem` is the whole body, with members such as `last_message_id` that only some
    codes have.
    """

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = problem
        self.code = str(problem.get("code") or f"HTTP_{status}")
        self.title = str(problem.get("title") or self.code)
        self.detail = str(problem.get("detail") or "")
        self.errors: list[FieldError] = list(problem.get("errors") or [])
        self.request_id: str | None = problem.get("request_id")
        super().__init__(self.title, self.detail)

    def __str__(self) -> str:
        faults = "".join(f"\n  {each['field']}: {each['message']}" for each in self.errors)
        return f"{self.status} {self.code}: {self.detail or self.title}{faults}"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.status, self.problem)


class InvalidRequest(ApiError):
    """400, 405, 406, 415 or 422."""


class Unauthorized(ApiError):
    """401: the token is missing, expired or invalid."""


class Forbidden(ApiError):
    """403: the token lacks a scope."""


class NotFound(ApiError):
    """404: no such session, message, feedback, value, source or verdict."""


class Conflict(ApiError):
    """409."""


class GoneSince(ApiError):
    """410: a repeated request whose result has been deleted since. `problem["ids"]` has its ids."""


class PreconditionFailed(ApiError):
    """412: `if_match`, `only_new`, `after` or `if_settings_version` does not hold."""


class TooLarge(ApiError):
    """413."""


class Unavailable(ApiError):
    """429, or 502 to 504, even after the retries."""


_BY_STATUS: dict[int, type[ApiError]] = {
    400: InvalidRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    405: InvalidRequest,
    406: InvalidRequest,
    409: Conflict,
    410: GoneSince,
    412: PreconditionFailed,
    413: TooLarge,
    415: InvalidRequest,
    422: InvalidRequest,
    429: Unavailable,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def error_of(status: int, problem: object) -> ApiError:
    """`problem` is the parsed body, whatever it is."""
    body = problem if isinstance(problem, Mapping) else {}
    return _BY_STATUS.get(status, ApiError)(status, body)
