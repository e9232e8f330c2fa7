"""Text of any kind as a part of a value's name."""

from urllib.parse import unquote


def escape(text: str) -> str:
    """Text without slashes, so that it is within one segment of a name.

    >>> escape("a/b 50%"), unescape(escape("a/b 50%"))
    ('a%2Fb 50%25', 'a/b 50%')
    """
    return text.replace("%", "%25").replace("/", "%2F")


def unescape(text: str) -> str:
    return unquote(text)
