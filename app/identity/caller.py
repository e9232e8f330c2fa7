"""The user on whose behalf a request is made. Partition keys are made only from a `Caller`.

Over HTTP, only `app.identity.auth` creates one, from a verified token. A program that uses the
stores as a library creates its own, and must authenticate the user itself.
"""

import re
from dataclasses import dataclass, field

from app.table import keys

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""Unicode category Cc."""


class NotACaller(ValueError):
    """The tenant, user or agent is invalid: empty, not a string, with surrounding white space or a
    control character, or too long for a key."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A user of a tenant, and the agent that acts for them, if any.

    Raises:
        NotACaller: an id is invalid.
    """

    tenant: str
    user: str
    agent: str | None = None
    partition: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        agent = self.user if self.agent is None else self.agent
        for name, value in (("tenant", self.tenant), ("user", self.user), ("agent", agent)):
            _check(name, value)
        partition = _partition(self.tenant, self.user, agent)
        object.__setattr__(self, "partition", partition)

    @property
    def writer(self) -> str:
        """The agent, or else the user. A message's `created_by`."""
        return self.agent or self.user


def check_tenant(tenant: str) -> None:
    """For tenants in the configuration.

    Raises:
        NotACaller: no caller can be of this tenant.
    """
    _check("tenant", tenant)
    _partition(tenant, "-", "-")


def _check(name: str, value: object) -> None:
    if not isinstance(value, str) or not value.strip():
        raise NotACaller(f"the {name} is empty or not a string")
    if value != value.strip() or _CONTROL.search(value):
        raise NotACaller(f"the {name} has white space around it or a control character")


def _partition(tenant: str, user: str, agent: str) -> str:
    try:
        partition = keys.partition(tenant, user)
        of_tenant = keys.by_source(partition, "0" * 32, "", cited=False)["GSI2PK"]
        longest = max(len(partition), len(of_tenant), len(agent.encode()))
    except UnicodeEncodeError:
        raise NotACaller("an id contains half a surrogate pair") from None
    if longest > keys.MAX_PARTITION_BYTES:
        raise NotACaller("the ids are too long for a partition key")
    return partition
