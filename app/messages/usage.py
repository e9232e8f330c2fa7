"""What messages say of tokens, for the report of what a tenant used (`app.quotas`)."""

from collections.abc import Sequence

import flask

from app.literals import value_of
from app.messages.model import NewMessage


def note_tokens(messages: Sequence[NewMessage]) -> None:
    """Call it for messages that this request has written. Does nothing if nobody counts."""
    if "counters" not in flask.g:
        return
    from app.formats.usage import usage  # loaded only where it is needed

    found = (usage(value_of(each.native), value_of(each.metadata)) for each in messages)
    flask.g.tokens = [used for used in found if used]
