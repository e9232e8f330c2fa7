"""How large JSON text is in a response of AWS Lambda, and how large a response may be."""

import json

MAX_WIRE_BYTES = 6_270_000
"""Maximum bytes of a response's body as a JSON string (`wire_size`), as Lambda returns it. Lambda's
whole response, with headers, may have 6,291,556.
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

MAX_ANSWER = 4_500_000
"""Maximum bytes of the messages or values in one response, as Lambda sends it. Only a response with
a single one may be larger."""

AS_SENT = (
    "as AWS Lambda sends it (6 for a letter that is not ASCII, 12 for an emoji, 2 for a quote or "
    "backslash)"
)


def wire_size(text: str) -> int:
    """Bytes of JSON text in Lambda's response. Assumes that the runtime escapes quotes,
    backslashes, DELETE and everything that is not ASCII.

    >>> wire_size('["é"]') == len(json.dumps('["é"]')) - 2
    True
    >>> wire_size(chr(127)) == len(json.dumps(chr(127))) - 2
    True
    """
    if text.isascii():  # JSON text has no unescaped control characters but DELETE and white space
        return len(text) + sum(map(text.count, '"\\\n\r\t')) + 5 * text.count("\x7f")
    return len(json.dumps(text)) - 2
