"""What the path of a request says about values: whose they are, and the name of one."""

import flask
from werkzeug.routing import BaseConverter

from app.errors import FieldError, ValidationFailed
from app.identity.auth import current_caller
from app.values import places, rules
from app.values.places import Place


class ValueNameConverter(BaseConverter):
    """The rest of the path, with any characters. A slash separates segments, encoded or not."""

    regex = r"(?s:.+)"
    part_isolating = False


def place_of(of: str = "session", session_id: str = "") -> Place:
    """The place in the path of the request.

    Raises:
        SessionNotFound: not a session id.
    """
    caller = current_caller()
    if of == "session":
        return places.of_session(caller, session_id)
    return places.of_user(caller) if of == "user" else places.of_tenant(caller)


def checked(name: str) -> str:
    """
    Raises:
        ValidationFailed: not a name, or not UTF-8. Werkzeug replaces what is no UTF-8.
    """
    fault = rules.name_fault(name)
    try:
        flask.request.environ["PATH_INFO"].encode("latin-1").decode()
    except UnicodeDecodeError:
        fault = "Not UTF-8."
    if fault:
        raise ValidationFailed([FieldError(location="path", field="name", message=fault)])
    return name
