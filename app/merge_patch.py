"""Merges JSON texts (RFC 7396). What the patch does not touch keeps its text."""

from app.literals import Inside, Sent, read_object, text_of


class _EveryObject(dict[str, Inside]):
    """All members that are objects, at any depth."""

    def __contains__(self, name: object) -> bool:
        return True

    def __getitem__(self, name: str) -> Inside:
        return Inside(None, self)


def merge_patch(target: str, patch: str) -> str:
    """Each text is read once, however deep the patch is.

    https://www.rfc-editor.org/rfc/rfc7396#section-2

    >>> merge_patch('{"a": 1E5, "b": {"c": 1}}', '{"b": {"c": null, "d": 2.0}}')
    '{"a":1E5,"b":{"d":2.0}}'

    Raises:
        json.JSONDecodeError, NotJson, RepeatedName
    """
    if not patch.startswith("{"):
        return patch
    changes = read_object(patch, _EveryObject())
    is_object = target.lstrip(" \t\n\r").startswith("{")
    return _merged(read_object(target, _touched(changes)) if is_object else Sent(), changes)


def _touched(changes: Sent) -> dict[str, Inside]:
    """The objects in the target that the changes go into."""
    objects = {name: value for name, value in changes.items() if isinstance(value, Sent)}
    return {name: Inside(None, _touched(value)) for name, value in objects.items()}


def _merged(target: Sent, changes: Sent) -> str:
    merged = dict(target.texts)
    for name, value in changes.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, Sent):
            old = target.get(name)
            merged[name] = _merged(old if isinstance(old, Sent) else Sent(), value)
        else:
            merged[name] = changes.texts[name]
    members = (f"{text_of(name)}:{text}" for name, text in merged.items())
    return f"{{{','.join(members)}}}"
