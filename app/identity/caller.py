"""Who is calling. Partition keys are made from a Caller and from nothing else.

Over HTTP only `app.identity.auth` makes one, from a verified token. A program that uses the stores
as a library makes its own and is responsible for it.
"""

import re
from dataclasses import dataclass, field

from app.table import keys

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""Unicode's category Cc."""


class NotACaller(ValueError):
    """The tenant, user or agent is not usable: empty, not text, with white space around it or a
    control character in it, or too long for a key."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A user of a tenant, and the agent that acts for them, if any.

    Raises:
        NotACaller: the ids do not make a partition key.
    """

    tenant: str
    user: str
    agent: str | None = None
    partition: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        agent = self.user if self.agent is None else self.agent
        for name, value in (("tenant", self.tenant), ("user", self.user), ("agent", agent)):
            if not isinstance(value, str) or not value.strip():
                raise NotACaller(f"the {name} is empty or not a string")
            if value != value.strip() or _CONTROL.search(value):
                raise NotACaller(f"the {name} has white space around it or a control character")
        try:
            partition = keys.partition(self.tenant, self.user)
            longest = max(len(partition), len(agent.encode()))
        except UnicodeEncodeError:
            raise NotACaller("an id contains half a surrogate pair") from None
        if longest > keys.MAX_PARTITION_BYTES:
            raise NotACaller("the ids are too long for a partition key")
        object.__setattr__(self, "partition", partition)

    @property
    def writer(self) -> str:
        """Who really writes: a message's `created_by`."""
        return self.agent or self.user
