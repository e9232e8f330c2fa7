"""THE table: its items, its keys, its indexes, and which question is answered by which call.

One table holds all tenants. A user's data is one partition; a session and all under it share the
prefix `SESSION#<ulid>`, so that one query reads them and one finds what to delete.

| Item                  | PK          | SK                               | GSI1PK, GSI1SK         | GSI2PK, GSI2SK        |
|-----------------------|-------------|----------------------------------|------------------------|-----------------------|
| User (session count)  | tenant#user | USER                             |                        | while being erased:   |
|                       |             |                                  |                        | SWEEP#<shard>, <due>  |
| Session               | tenant#user | SESSION#<ulid>                   | PK, <activity>#<ulid>  | with an expiry only:  |
|                       |             |                                  |                        | SWEEP#<shard>, <due>  |
| Session being deleted | tenant#user | SESSION#<ulid>                   |                        | SWEEP#<shard>, <due>  |
| Message               | tenant#user | SESSION#<ulid>#MSG#<ulid>        |                        |                       |
| Message, further part | tenant#user | SESSION#<ulid>#MSG#<ulid>#<nn>   |                        |                       |
| Record of an append   | tenant#user | SESSION#<ulid>#REQUEST#<hash>    |                        |                       |
| Record of a create    | tenant#user | REQUEST#<hash>                   |                        |                       |

| #  | Access pattern                  | DynamoDB calls                                                  |
|----|---------------------------------|-----------------------------------------------------------------|
| 1  | create a session                | 1 transaction: session, user's count, record                    |
| 2  | list sessions by activity       | 1 query of GSI1, 1 get of the user for `total`                  |
| 3  | session with messages           | 1 query a MB, strongly consistent                               |
| 4  | rename, describe, keep for      | 1 conditional update                                            |
| 5  | append                          | 1 transaction: session (conditional), messages, record          |
| 6  | delete a session                | 1 transaction, 1 query a MB, ⌈items/25⌉ batch writes, 1 delete, |
|    |                                 | 1 more of the record where it was created with a key            |
| 7  | a page of messages              | 1 get of the session, 1 query a MB, either way                  |
| 8  | unchanged since If-None-Match?  | 1 get                                                           |
| 9  | one message                     | 1 batch get: session, message                                   |
| 10 | erase a user                    | 1 update to note it, then as 6, over the whole partition        |
| 11 | what is due for removal         | 1 query of GSI2 a shard                                         |

`REQUEST` sorts after `MSG`, so reading a session never meets a record. GSI1 and GSI2 are sparse.
"""  # noqa: E501

import zlib
from typing import Any
from urllib.parse import quote

MAX_PARTITION_BYTES = 2048
"""https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html"""

BY_ACTIVITY = "GSI1"
DUE = "GSI2"
SWEEP_SHARDS = 10
"""Marking a session writes to GSI2; one key would bind all tenants to one partition's 1,000/s."""

LIST_ATTRIBUTES = ["title", "domain_id", "message_count", "retain_until"]
"""What GSI1 carries beside the keys: all that the list shows (the rest is in the keys)."""

TTL_ATTRIBUTE = "expires_at"
"""Seconds since 1970; only request records have it. A session must not: DynamoDB would remove it
alone and leave its messages (see `retain_until`)."""

Key = dict[str, str]

_LAST = "~"
"""Sorts after every character of a ULID and after `#`."""

ALL_SESSIONS = ("SESSION#", f"SESSION#{_LAST}")
CREATE_RECORDS = ("REQUEST#", f"REQUEST#{_LAST}")
"""First and last SK, for going through a whole partition."""


def partition(tenant: str, user: str) -> str:
    """The partition of one user. Percent-encoding keeps any id from reaching into another's.

    >>> partition("acme", "alice")
    'acme#alice'
    >>> partition("acme#bob", "x") == partition("acme", "bob#x")
    False
    """
    return f"{quote(tenant, safe='')}#{quote(user, safe='')}"


def user(partition: str) -> Key:
    """
    >>> user("acme#alice")
    {'PK': 'acme#alice', 'SK': 'USER'}
    """
    return {"PK": partition, "SK": "USER"}


def session(partition: str, session: str) -> Key:
    """
    >>> session("acme#alice", "01S")
    {'PK': 'acme#alice', 'SK': 'SESSION#01S'}
    """
    return {"PK": partition, "SK": f"SESSION#{session}"}


def message(partition: str, session: str, message: str, part: int = 0) -> Key:
    """
    >>> message("acme#alice", "01S", "01M")["SK"]
    'SESSION#01S#MSG#01M'
    >>> message("acme#alice", "01S", "01M", part=2)["SK"]
    'SESSION#01S#MSG#01M#02'
    """
    suffix = f"#{part:02}" if part else ""
    return {"PK": partition, "SK": f"SESSION#{session}#MSG#{message}{suffix}"}


def create_record(partition: str, request: str) -> Key:
    """
    >>> create_record("acme#alice", "h4sh")["SK"]
    'REQUEST#h4sh'
    """
    return {"PK": partition, "SK": f"REQUEST#{request}"}


def append_record(partition: str, session: str, request: str) -> Key:
    """Under the session's prefix, so that it goes when the session goes.

    >>> append_record("acme#alice", "01S", "h4sh")["SK"]
    'SESSION#01S#REQUEST#h4sh'
    """
    return {"PK": partition, "SK": f"SESSION#{session}#REQUEST#{request}"}


def by_activity(partition: str, session: str, last_activity: str) -> dict[str, str]:
    """
    >>> by_activity("acme#alice", "01S", "2026-01-01T00:00:00.000Z")
    {'GSI1PK': 'acme#alice', 'GSI1SK': '2026-01-01T00:00:00.000Z#01S'}
    """
    return {"GSI1PK": partition, "GSI1SK": f"{last_activity}#{session}"}


def due(owner: str, at: str) -> dict[str, str]:
    """When the sweep has to look at a session: at its expiry, or as soon as it is being deleted; or
    at a partition, whose user is being erased.

    >>> due("01ARZ3NDEKTSV4RRFFQ69G5FAV", "2026-01-01T00:00:00.000Z")
    {'GSI2PK': 'SWEEP#1', 'GSI2SK': '2026-01-01T00:00:00.000Z'}
    """
    return {"GSI2PK": sweep_partition(zlib.crc32(owner.encode()) % SWEEP_SHARDS), "GSI2SK": at}


def sweep_partition(shard: int) -> str:
    """
    >>> sweep_partition(3)
    'SWEEP#3'
    """
    return f"SWEEP#{shard}"


def session_with_messages(session: str) -> tuple[str, str]:
    """First and last SK of a session and its messages, in order, without the records.

    >>> low, high = session_with_messages("01S")
    >>> low <= "SESSION#01S" < "SESSION#01S#MSG#01M#02" < high < "SESSION#01S#REQUEST#h4sh"
    True
    """
    return f"SESSION#{session}", f"SESSION#{session}#MSG#{_LAST}"


def messages_between(session: str, after: str = "", before: str = "") -> tuple[str, str]:
    """First and last SK of the messages after one and before another, parts included.

    >>> low, high = messages_between("01S", after="01A", before="01C")
    >>> "SESSION#01S#MSG#01A#01" < low < "SESSION#01S#MSG#01B" < high < "SESSION#01S#MSG#01C"
    True
    >>> low, high = messages_between("01S")
    >>> "SESSION#01S" < low < "SESSION#01S#MSG#01A" < high < "SESSION#01S#REQUEST#h4sh"
    True
    """
    prefix = f"SESSION#{session}#MSG#"
    low = f"{prefix}{after}{_LAST}" if after else prefix
    # The bound is inclusive and `before` itself must stay out: its predecessor's parts end in "~".
    high = f"{prefix}{_before(before)}{_LAST}" if before else f"{prefix}{_LAST}"
    return low, high


def _before(ulid: str) -> str:
    return ulid[:-1] + chr(ord(ulid[-1]) - 1)


def message_with_parts(session: str, message: str) -> tuple[str, str]:
    """
    >>> low, high = message_with_parts("01S", "01M")
    >>> low == "SESSION#01S#MSG#01M" < "SESSION#01S#MSG#01M#07" < high
    True
    """
    sk = f"SESSION#{session}#MSG#{message}"
    return sk, f"{sk}#{_LAST}"


def all_of_session(session: str) -> tuple[str, str]:
    """First and last SK of the session's item and of all that must go with it.

    >>> low, high = all_of_session("01S")
    >>> low == "SESSION#01S" < "SESSION#01S#REQUEST#h4sh" < high < "SESSION#01T"
    True
    """
    return f"SESSION#{session}", f"SESSION#{session}#{_LAST}"


def session_of(sk: str) -> str:
    """
    >>> session_of("SESSION#01S#MSG#01M#02")
    '01S'
    """
    return sk.split("#", 2)[1]


def message_of(sk: str) -> str:
    """
    >>> message_of("SESSION#01S#MSG#01M#02")
    '01M'
    """
    return sk.split("#", 4)[3]


def is_session(sk: str) -> bool:
    """
    >>> is_session("SESSION#01S"), is_session("SESSION#01S#MSG#01M"), is_session("USER")
    (True, False, False)
    """
    return sk.startswith("SESSION#") and sk.count("#") == 1


def is_message(sk: str) -> bool:
    """Whether this is the first item of a message, not a further part.

    >>> is_message("SESSION#01S#MSG#01M"), is_message("SESSION#01S#MSG#01M#01")
    (True, False)
    """
    return "#MSG#" in sk and sk.count("#") == 3


def activity_of(gsi1sk: str) -> str:
    """
    >>> activity_of("2026-01-01T00:00:00.000Z#01S")
    '2026-01-01T00:00:00.000Z'
    """
    return gsi1sk.split("#", 1)[0]


def definition(table_name: str) -> dict[str, Any]:
    """What CreateTable takes: on demand, two sparse indexes."""

    def key_schema(pk: str, sk: str) -> list[dict[str, str]]:
        return [
            {"AttributeName": pk, "KeyType": "HASH"},
            {"AttributeName": sk, "KeyType": "RANGE"},
        ]

    attributes = ("PK", "SK", "GSI1PK", "GSI1SK", "GSI2PK", "GSI2SK")
    return {
        "TableName": table_name,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": key_schema("PK", "SK"),
        "AttributeDefinitions": [{"AttributeName": a, "AttributeType": "S"} for a in attributes],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": BY_ACTIVITY,
                "KeySchema": key_schema("GSI1PK", "GSI1SK"),
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": LIST_ATTRIBUTES},
            },
            {
                "IndexName": DUE,
                "KeySchema": key_schema("GSI2PK", "GSI2SK"),
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            },
        ],
    }
