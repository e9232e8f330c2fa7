"""The users of a tenant, from the index that only operators' commands read."""

from collections.abc import Iterator

from app.table import keys
from app.table.db import Table
from app.table.definition import BY_TENANT


def users_of(table: Table, tenant: str) -> Iterator[str]:
    """Pattern 27: the partitions of all users who have sessions or values, shard by shard, and
    within one in the order of their keys. The index lags behind the table by moments.

    Costs 1 query per shard, or more for thousands of users.
    """
    for shard in keys.tenant_shards(tenant):
        for page in table.query_index(BY_TENANT, shard):
            for item in page:
                yield str(item["PK"])
