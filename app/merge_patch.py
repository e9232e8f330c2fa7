"""Merges JSON texts (RFC 7396)."""

from app.literals import read_object, text_of


def merge_patch(target: str, patch: str) -> str:
    """Merges objects by RFC 7396. What the patch does not touch keeps its text.

    https://www.rfc-editor.org/rfc/rfc7396#section-2

    >>> merge_patch('{"a": 1E5, "b": {"c": 1}}', '{"b": {"c": null, "d": 2.0}}')
    '{"a":1E5,"b":{"d":2.0}}'

    Raises:
        json.JSONDecodeError, NotJson, RepeatedName
    """
    if not patch.startswith("{"):
        return patch
    merged = read_object(target).texts if target.lstrip(" \t\n\r").startswith("{") else {}
    for name, text in read_object(patch).texts.items():
        if text == "null":
            merged.pop(name, None)
        elif text.startswith("{"):
            merged[name] = merge_patch(merged.get(name, "{}"), text)
        else:
            merged[name] = text
    members = (f"{text_of(name)}:{text}" for name, text in merged.items())
    return f"{{{','.join(members)}}}"
