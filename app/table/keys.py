"""The key design: the items of the table, their keys, and the DynamoDB calls of each request.

One table holds all tenants. A user's data is one partition. A session and everything under it share
the prefix `SESSION#<ulid>`, so one query reads them and one query finds what to delete.

| Item                  | PK          | SK                             | GSI1PK, GSI1SK        | GSI2PK, GSI2SK       |
|-----------------------|-------------|--------------------------------|-----------------------|----------------------|
| User (session count,  | tenant#user | USER                           |                       | while being erased:  |
| last session's ULID)  |             |                                |                       | SWEEP#<shard>, <due> |
| Session               | tenant#user | SESSION#<ulid>                 | PK, <activity>#<ulid> | if it expires:       |
|                       |             |                                |                       | SWEEP#<shard>, <due> |
| Session being deleted | tenant#user | SESSION#<ulid>                 |                       | SWEEP#<shard>, <due> |
| or filled             |             |                                |                       |                      |
| Long metadata         | tenant#user | SESSION#<ulid>#INFO            |                       |                      |
| Message               | tenant#user | SESSION#<ulid>#MSG#<ulid>      |                       |                      |
| Message, further part | tenant#user | SESSION#<ulid>#MSG#<ulid>#<nn> |                       |                      |
| Feedback on a message | tenant#user | SESSION#<ulid>#MSG#<ulid>      |                       |                      |
|                       |             | #FEEDBACK#<hash>               |                       |                      |
| Messages to remove    | tenant#user | SESSION#<ulid>#REMOVAL         |                       | SWEEP#<shard>, <due> |
| Record of a change    | tenant#user | SESSION#<ulid>#REQUEST#<hash>  |                       |                      |
| Edge from a message   | tenant#user | SESSION#<ulid>#SRC#<hash>      |                       | SRC#<tenant>#<hash>  |
| to a source           |             | #<ulid of the message>         |                       | #<shard>, <hash of   |
|                       |             |                                |                       | the PK>#<ulid>       |
| Record of a create    | tenant#user | REQUEST#<hash>                 |                       |                      |
| Value of a session    | tenant#user | SESSION#<ulid>#VALUE#<name>    |                       |                      |
| Value, further part   | tenant#user | SESSION#<ulid>#VPART#<hash>    |                       |                      |
|                       |             | #<nn>                          |                       |                      |
| Values that may have  | tenant#user | SESSION#<ulid>#STALE           |                       | SWEEP#<shard>, <due> |
| been put too late     |             |                                |                       |                      |
| The same of a user    | tenant#user | VALUE#…, VPART#…, STALE        |                       | the last one         |
| The same of a tenant  | tenant      | VALUE#…, VPART#…, STALE        |                       | the last one         |
|                       | ##VALUES    |                                |                       |                      |
| Tenant (notes that it | tenant      | TENANT                         |                       |                      |
| has values)           | ##VALUES    |                                |                       |                      |
| Verdict on a source   | tenant      | SOURCE#<hash>                  |                       |                      |
|                       | ##SOURCES   |                                |                       |                      |
| Revision of all of a  | tenant      | REVISION                       |                       |                      |
| tenant's verdicts     | ##SOURCES   |                                |                       |                      |
| Redaction of a source | tenant      | REDACTION#<hash>               |                       | until it has ended:  |
|                       | ##SOURCES   |                                |                       | SWEEP#<shard>, <due> |
| What a tenant used in | tenant      | DAY#<date>                     |                       |                      |
| a day                 | ##USAGE#<n> |                                |                       |                      |
| What a user used      | tenant#user | USAGE#<date>                   |                       |                      |

A source's hash is that of its key (`app.grounding.sources`). A source that a message does not cite,
but may hold words of, has its edge under `GIVEN#` instead of `SRC#` in GSI2.

GSI3 has the users of a tenant: GSI3PK is `<tenant>#<shard>`, GSI3SK the beginning of the user's
partition.

A session with a key has an id that is derived from it (`ids.from_key`), and the id of its creation
in `born`. DynamoDB's TTL removes records, and what was used. Records of changes are also removed
with their session.

| #  | Access pattern                   | DynamoDB calls                                                    |
|----|----------------------------------|-------------------------------------------------------------------|
| 1  | create a session, or find it by  | 1 transaction: session, user's count, record of the request;      |
|    | its key                          | 1 get of the session if the request is a repeat; for the key of a |
|    |                                  | session that is being deleted, 6 and 1 transaction more           |
| 2  | list sessions by activity        | 1 query of GSI1, 1 get of the user for `total`; with a filter     |
|    |                                  | up to 4 queries                                                   |
| 3  | a session with its messages      | 1 query per MB, strongly consistent;                              |
|    |                                  | 1 get of the session if not all messages fit                      |
| 4  | change title, metadata, flags,   | 1 conditional update; with long metadata 1 transaction and 2 gets;|
|    | expiry                           | a merge of metadata 1 get more                                    |
| 5  | append 1 to 50 messages          | 1 transaction: session (conditional), messages, record; 1 more    |
|    |                                  | if the session has to be created; a repeat 1 batch get more       |
| 6  | delete a session                 | 1 transaction, 1 query per MB, ⌈items/25⌉ batch writes, 1 delete; |
|    |                                  | with a key ⌈items/99⌉ transactions instead of the batch writes    |
| 7  | a page of messages               | 1 get of the session; if there are messages to show, 1 query per  |
|    |                                  | MB in either order; 1 more get if they are not the whole session  |
| 8  | unchanged since `If-None-Match`? | 1 get                                                             |
| 9  | one message                      | 1 batch get: session and message; 1 query if it is divided or has |
|    |                                  | feedback                                                          |
| 10 | erase a user                     | 2 gets, 1 update of the user, then as 6 over the whole partition  |
| 11 | find what the sweep must remove  | 1 query of GSI2 per shard                                         |
| 12 | delete one message               | 1 batch get of the session, 1 query, 1 transaction                |
| 13 | delete all messages from one on  | as 12; a long tail is counted, 1 query per MB, and hidden in      |
|    |                                  | 1 transaction, then removed as in 6                               |
| 14 | pop the last messages            | as 12                                                             |
| 15 | replace all messages from one on | as 13                                                             |
| 16 | edit a message, or its status    | 1 transaction; 1 more if it is not the last message, or divided   |
| 17 | give feedback on a message       | 1 transaction; 1 more to replace older feedback                   |
| 18 | fork a session                   | 4 to 6 reads, 1 query per MB twice, 2 writes, ⌈items/25⌉ batch    |
|    |                                  | writes                                                            |
| 19 | import a session                 | 2 or 3 reads, 2 writes, ⌈items/25⌉ batch writes                   |
| 20 | check a history                  | as 7                                                              |
| 21 | one value                        | 1 batch get: what it belongs to, and the value; 1 query if it is  |
|    |                                  | divided                                                           |
| 22 | list values by prefix            | 1 query per MB, 1 get; 1 query for each value that is divided     |
| 23 | put or delete a value            | 1 get, 1 put or delete; the first value of a session, user or     |
|    |                                  | tenant, and one that is divided, 1 transaction instead            |
| 24 | many values                      | 1 get, then each as above; or 1 transaction for all               |
| 25 | delete values by prefix          | 1 get, 1 query per MB, 1 delete each                              |
| 26 | export a user                    | 1 query per MB, 1 get at the end of each page                     |
| 27 | the users of a tenant            | 1 query of GSI3 per shard                                         |
| 28 | the caller's answers that cite   | 1 query of GSI2, 1 batch get of the sessions                      |
|    | a source                         |                                                                   |
| 29 | a tenant's answers that cite a   | 1 query of GSI2, up to 1 per shard for the last ones; 1 batch get |
|    | source                           | of the sessions                                                   |
| 30 | the verdicts on sources          | 1 get of the revision if they are known, or if there are none at  |
|    |                                  | all; or 1 batch get per 99 sources                                |
| 31 | say what became of a source      | 1 transaction: verdict, revision                                  |
| 32 | remove a source's text from all  | 1 query of GSI2 per page, as 9 and 16 for each message            |
|    | messages                         |                                                                   |
| 33 | count what is used, and learn    | 1 update per tenant, and 1 per user, at most once a second in     |
|    | what other processes counted     | each process; 1 batch get after 4 seconds without                 |
| 34 | what a tenant used               | 1 query per shard                                                 |

`INFO` and `MSG` sort before `REMOVAL`, `REQUEST`, `SRC` and `VALUE`, so a query for a session and its
messages reads nothing else. The indexes are sparse. The sort-key ranges of these queries are in
`app.table.ranges`, and the definition for CreateTable is in `app.table.definition`. This module is
over 250 lines because the whole key design belongs on one page.
"""  # noqa: E501

import base64
import hashlib
import zlib
from urllib.parse import quote, unquote

MAX_PARTITION_BYTES, MAX_SORT_KEY_BYTES = 2048, 1024
"""https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html"""

SWEEP_SHARDS = 10
"""Marking a session writes to GSI2. With a single key, all tenants together could mark at most
1,000 sessions per second, the limit of one partition."""

SESSION_PREFIX = "SESSION#"
CREATE_RECORD_PREFIX = "REQUEST#"

TENANT_SHARDS = 10
"""As for the sweep: a new user writes to GSI3, and a tenant may have many at once."""

MAX_NAME_BYTES = 700
"""Of a value. A sort key has 1,024 bytes at most, and a session's prefix takes 40."""

_INFO, _CUT, _FEEDBACK = "#INFO", "#REMOVAL", "#FEEDBACK#"
_VALUE, _VALUE_PART, _STALE = "VALUE#", "VPART#", "STALE"
_EDGE, _VERDICT, _REDACTION = "SRC#", "SOURCE#", "REDACTION#"
_DAY, _USER_DAY = "DAY#", "USAGE#"

SOURCE_SHARDS = 10
"""As for the sweep: a handbook that all users of a tenant ask about may be cited thousands of times
per second."""

USAGE_SHARDS = 3
"""Each process writes what a tenant used once a second, to one shard after the other. A partition
takes 1,000 writes per second."""

Key = dict[str, str]


def partition(tenant: str, user: str) -> str:
    """The partition of one user. Ids are percent-encoded, so that they cannot contain `#`.

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


def session(partition: str, session_ulid: str) -> Key:
    """
    >>> session("acme#alice", "01S")
    {'PK': 'acme#alice', 'SK': 'SESSION#01S'}
    """
    return {"PK": partition, "SK": f"{SESSION_PREFIX}{session_ulid}"}


def info(partition: str, session_ulid: str) -> Key:
    """A session's long metadata. Sorts before the messages, so that one query reads both.

    >>> info("acme#alice", "01S")["SK"]
    'SESSION#01S#INFO'
    """
    return {"PK": partition, "SK": f"{SESSION_PREFIX}{session_ulid}{_INFO}"}


def message(partition: str, session_ulid: str, message_ulid: str, part: int = 0) -> Key:
    """
    >>> message("acme#alice", "01S", "01M")["SK"]
    'SESSION#01S#MSG#01M'
    >>> message("acme#alice", "01S", "01M", part=2)["SK"]
    'SESSION#01S#MSG#01M#02'
    """
    suffix = f"#{part:02}" if part else ""
    return {"PK": partition, "SK": f"{SESSION_PREFIX}{session_ulid}#MSG#{message_ulid}{suffix}"}


def feedback(partition: str, session_ulid: str, message_ulid: str, rater: str) -> Key:
    """`rater` is a hash. Sorts after the message's parts.

    >>> feedback("acme#alice", "01S", "01M", "h4sh")["SK"]
    'SESSION#01S#MSG#01M#FEEDBACK#h4sh'
    """
    first = message(partition, session_ulid, message_ulid)
    return {**first, "SK": f"{first['SK']}{_FEEDBACK}{rater}"}


def cut(partition: str, session_ulid: str) -> Key:
    """By this item the sweep finds messages that are hidden and have to be removed.

    >>> cut("acme#alice", "01S")["SK"]
    'SESSION#01S#REMOVAL'
    """
    return {"PK": partition, "SK": f"{SESSION_PREFIX}{session_ulid}{_CUT}"}


def create_record(partition: str, name: str) -> Key:
    """
    >>> create_record("acme#alice", "h4sh")["SK"]
    'REQUEST#h4sh'
    """
    return {"PK": partition, "SK": f"{CREATE_RECORD_PREFIX}{name}"}


def append_record(partition: str, session_ulid: str, name: str) -> Key:
    """This key has the session's prefix, so that the record is deleted with the session.

    >>> append_record("acme#alice", "01S", "h4sh")["SK"]
    'SESSION#01S#REQUEST#h4sh'
    """
    return {"PK": partition, "SK": f"{SESSION_PREFIX}{session_ulid}#REQUEST#{name}"}


def tenant_name(partition: str) -> str:
    """
    >>> tenant_name("ac%23me##SOURCES"), tenant_name("acme#alice")
    ('ac#me', 'acme')
    """
    return unquote(tenant_of(partition))


def user_of(partition: str) -> str:
    """
    >>> user_of("acme#al%23ice")
    'al#ice'
    """
    return unquote(partition.partition("#")[2])


def tenant_of(partition: str) -> str:
    """Percent-encoded.

    >>> tenant_of("ac%23me#alice")
    'ac%23me'
    """
    return partition.partition("#")[0]


def tenant_partition(tenant: str) -> str:
    """The partition of what belongs to a whole tenant. No user's partition has `##`.

    >>> tenant_partition("acme")
    'acme##VALUES'
    """
    return f"{quote(tenant, safe='')}##VALUES"


def is_tenant(partition: str) -> bool:
    """
    >>> is_tenant("acme##VALUES"), is_tenant("acme#alice")
    (True, False)
    """
    return partition.endswith("##VALUES")


def tenant(partition: str) -> Key:
    """
    >>> tenant("acme##VALUES")
    {'PK': 'acme##VALUES', 'SK': 'TENANT'}
    """
    return {"PK": partition, "SK": "TENANT"}


def value(partition: str, session_ulid: str, name: str) -> Key:
    """Without a session, a value of the user or the tenant. The name may have any characters, so it
    is always last.

    >>> value("acme#alice", "01S", "agent/state#1")["SK"], value("acme#alice", "", "theme")["SK"]
    ('SESSION#01S#VALUE#agent/state#1', 'VALUE#theme')
    """
    return {"PK": partition, "SK": f"{_under(session_ulid)}{_VALUE}{name}"}


def value_part(partition: str, session_ulid: str, name: str, part: int) -> Key:
    """
    >>> value_part("acme#alice", "01S", "agent/state", 2)["SK"]
    'SESSION#01S#VPART#l9dHoHbXR_Cjy_qiHknYxQ#02'
    """
    sk = f"{_under(session_ulid)}{_VALUE_PART}{_short_hash(name)}#{part:02}"
    return {"PK": partition, "SK": sk}


def stale(partition: str, session_ulid: str = "") -> Key:
    """By this item the sweep finds values that were put while what they belong to was deleted.

    >>> stale("acme#alice", "01S")["SK"], stale("acme#alice")["SK"]
    ('SESSION#01S#STALE', 'STALE')
    """
    return {"PK": partition, "SK": f"{_under(session_ulid)}{_STALE}"}


def name_hash(name: str) -> str:
    """Stands for the name of a value where the name must not be, because it is a user's text.

    >>> name_hash("agent/state")
    'l9dHoHbXR_Cjy_qiHknYxQ'
    """
    return _short_hash(name)


def _short_hash(text: str) -> str:
    """128 bits."""
    digest = hashlib.sha256(text.encode()).digest()[:16]
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _under(session_ulid: str) -> str:
    return f"{SESSION_PREFIX}{session_ulid}#" if session_ulid else ""


def by_tenant(partition: str) -> Key:
    """The sort key only makes the order stable. A partition may be too long for one.

    >>> by_tenant("acme#alice")
    {'GSI3PK': 'acme#9', 'GSI3SK': 'acme#alice'}
    """
    shard = zlib.crc32(partition.encode()) % TENANT_SHARDS
    return {"GSI3PK": f"{tenant_of(partition)}#{shard}", "GSI3SK": partition[:MAX_SORT_KEY_BYTES]}


def tenant_shards(tenant: str) -> list[str]:
    """
    >>> tenant_shards("acme")[9]
    'acme#9'
    """
    return [f"{quote(tenant, safe='')}#{shard}" for shard in range(TENANT_SHARDS)]


def by_activity(partition: str, session_ulid: str, last_activity: str) -> Key:
    """
    >>> by_activity("acme#alice", "01S", "2026-01-01T00:00:00.000Z")
    {'GSI1PK': 'acme#alice', 'GSI1SK': '2026-01-01T00:00:00.000Z#01S'}
    """
    return {"GSI1PK": partition, "GSI1SK": f"{last_activity}#{session_ulid}"}


def by_due_time(owner: str, due_at: str) -> Key:
    """The sweep finds an item under this key: a session that expires at `due_at` or is being
    deleted, or a user who is being erased. `owner` is the session's ULID or the user's partition.

    >>> by_due_time("01ARZ3NDEKTSV4RRFFQ69G5FAV", "2026-01-01T00:00:00.000Z")
    {'GSI2PK': 'SWEEP#1', 'GSI2SK': '2026-01-01T00:00:00.000Z'}
    """
    shard = zlib.crc32(owner.encode()) % SWEEP_SHARDS
    return {"GSI2PK": sweep_partition(shard), "GSI2SK": due_at}


def sweep_partition(shard: int) -> str:
    """
    >>> sweep_partition(3)
    'SWEEP#3'
    """
    return f"SWEEP#{shard}"


def edge(partition: str, session_ulid: str, source: str, message_ulid: str) -> Key:
    """Says that a message rests on a source. `source` is the hash of its key.

    >>> edge("acme#alice", "01S", "h4sh", "01M")["SK"]
    'SESSION#01S#SRC#h4sh#01M'
    """
    return {"PK": partition, "SK": f"{SESSION_PREFIX}{session_ulid}#{_EDGE}{source}#{message_ulid}"}


def by_source(partition: str, source: str, message_ulid: str, *, cited: bool = True) -> Key:
    """
    >>> by_source("acme#alice", "h4sh", "01M")
    {'GSI2PK': 'SRC#acme#h4sh#9', 'GSI2SK': '4cpUIlRyeBsluuS_RA_QFQ#01M'}
    """
    tenant, shard = tenant_of(partition), source_shard(partition)
    return {
        "GSI2PK": source_partition(tenant, source, shard, cited=cited),
        "GSI2SK": f"{source_user(partition)}#{message_ulid}",
    }


def probe() -> Key:
    """No item has this key. A partition of a user or a tenant has a `#`.

    >>> probe()
    {'PK': 'READY', 'SK': 'READY'}
    """
    return {"PK": "READY", "SK": "READY"}


def source_partition(tenant: str, source: str, shard: int, *, cited: bool = True) -> str:
    """`tenant` is percent-encoded. The edges of a user are in one shard, in the order of their
    messages.

    >>> source_partition("acme", "h4sh", 3), source_partition("acme", "h4sh", 3, cited=False)
    ('SRC#acme#h4sh#3', 'GIVEN#acme#h4sh#3')
    """
    return f"{_EDGE if cited else 'GIVEN#'}{tenant}#{source}#{shard}"


def source_shard(partition: str) -> int:
    return zlib.crc32(partition.encode()) % SOURCE_SHARDS


def source_user(partition: str) -> str:
    """A partition may be too long for a sort key.

    >>> source_user("acme#alice")
    '4cpUIlRyeBsluuS_RA_QFQ'
    """
    return _short_hash(partition)


def tenant_sources(tenant: str) -> str:
    """The partition of what a tenant has said about its sources.

    >>> tenant_sources("acme")
    'acme##SOURCES'
    """
    return f"{quote(tenant, safe='')}##SOURCES"


def is_sources(partition: str) -> bool:
    """
    >>> is_sources("acme##SOURCES"), is_sources("acme##VALUES"), is_sources("acme#alice")
    (True, False, False)
    """
    return partition.endswith("##SOURCES")


def verdict(partition: str, source: str) -> Key:
    """
    >>> verdict("acme##SOURCES", "h4sh")
    {'PK': 'acme##SOURCES', 'SK': 'SOURCE#h4sh'}
    """
    return {"PK": partition, "SK": f"{_VERDICT}{source}"}


def revision(partition: str) -> Key:
    """
    >>> revision("acme##SOURCES")
    {'PK': 'acme##SOURCES', 'SK': 'REVISION'}
    """
    return {"PK": partition, "SK": "REVISION"}


def redaction(partition: str, source: str) -> Key:
    """
    >>> redaction("acme##SOURCES", "h4sh")
    {'PK': 'acme##SOURCES', 'SK': 'REDACTION#h4sh'}
    """
    return {"PK": partition, "SK": f"{_REDACTION}{source}"}


def redacted_source(sk: str) -> str:
    """The source's hash of a redaction; empty if the key is of something else.

    >>> redacted_source("REDACTION#h4sh"), redacted_source("SOURCE#h4sh")
    ('h4sh', '')
    """
    return sk.removeprefix(_REDACTION) if sk.startswith(_REDACTION) else ""


def source_of(sk: str) -> str:
    """The source's hash of a verdict; empty if the key is of something else.

    >>> source_of("SOURCE#h4sh"), source_of("REVISION")
    ('h4sh', '')
    """
    return sk.removeprefix(_VERDICT) if sk.startswith(_VERDICT) else ""


def tenant_usage(tenant: str, shard: int, day: str) -> Key:
    """
    >>> tenant_usage("acme", 2, "2026-01-31")
    {'PK': 'acme##USAGE#2', 'SK': 'DAY#2026-01-31'}
    """
    return {"PK": f"{quote(tenant, safe='')}##USAGE#{shard}", "SK": f"{_DAY}{day}"}


def user_usage(partition: str, day: str) -> Key:
    """
    >>> user_usage("acme#alice", "2026-01-31")
    {'PK': 'acme#alice', 'SK': 'USAGE#2026-01-31'}
    """
    return {"PK": partition, "SK": f"{_USER_DAY}{day}"}


def is_usage(partition: str) -> bool:
    """Whether this partition holds only what a tenant used.

    >>> is_usage("acme##USAGE#2"), is_usage("acme##VALUES"), is_usage("acme#alice")
    (True, False, False)
    """
    return "##USAGE#" in partition


def is_day(sk: str) -> bool:
    """
    >>> is_day("DAY#2026-01-31"), is_day("USAGE#2026-01-31"), is_day("USER")
    (True, True, False)
    """
    return sk.startswith((_DAY, _USER_DAY))


def day_of(sk: str) -> str:
    """
    >>> day_of("DAY#2026-01-31")
    '2026-01-31'
    """
    return sk.partition("#")[2]


def session_of(sk: str) -> str:
    """
    >>> session_of("SESSION#01S#MSG#01M#02")
    '01S'
    """
    return sk.split("#", 2)[1]


def message_of(sk: str) -> str:
    """Empty if the key has no message's id.

    >>> message_of("SESSION#01S#MSG#01M#02"), message_of("SESSION#01S#MSG")
    ('01M', '')
    """
    return "".join(sk.split("#", 4)[3:4])


def is_session(sk: str) -> bool:
    """
    >>> is_session("SESSION#01S"), is_session("SESSION#01S#MSG#01M"), is_session("USER")
    (True, False, False)
    """
    return sk.startswith(SESSION_PREFIX) and sk.count("#") == 1


def is_message(sk: str) -> bool:
    """Whether this is the first item of a message, not a further part.

    >>> is_message("SESSION#01S#MSG#01M"), is_message("SESSION#01S#MSG#01M#01")
    (True, False)
    """
    return sk.count("#") == 3 and is_under_message(sk)


def is_info(sk: str) -> bool:
    """
    >>> is_info("SESSION#01S#INFO"), is_info("SESSION#01S#MSG#01M")
    (True, False)
    """
    return sk.endswith(_INFO) and sk.count("#") == 2


def is_cut(sk: str) -> bool:
    """
    >>> is_cut("SESSION#01S#REMOVAL"), is_cut("SESSION#01S#REQUEST#h4sh")
    (True, False)
    """
    return sk.endswith(_CUT) and sk.count("#") == 2


def is_under_message(sk: str) -> bool:
    """Whether this is a message's item, a further part or feedback on it.

    >>> is_under_message("SESSION#01S#MSG#01M#01"), is_under_message("SESSION#01S#VALUE#a#MSG#b")
    (True, False)
    """
    return sk.startswith(SESSION_PREFIX) and sk.split("#", 3)[2:3] == ["MSG"]


def is_feedback(sk: str) -> bool:
    """
    >>> is_feedback("SESSION#01S#MSG#01M#FEEDBACK#h4sh"), is_feedback("SESSION#01S#MSG#01M#01")
    (True, False)
    """
    return is_under_message(sk) and _FEEDBACK in sk


def is_value(sk: str) -> bool:
    """Whether this is the first item of a value.

    >>> is_value("SESSION#01S#VALUE#a"), is_value("VALUE#a"), is_value("SESSION#01S#VPART#h#01")
    (True, True, False)
    """
    return _below(sk).startswith(_VALUE)


def is_value_part(sk: str) -> bool:
    """
    >>> is_value_part("SESSION#01S#VPART#h#01"), is_value_part("SESSION#01S#VALUE#VPART#")
    (True, False)
    """
    return _below(sk).startswith(_VALUE_PART)


def is_stale(sk: str) -> bool:
    """
    >>> is_stale("SESSION#01S#STALE"), is_stale("STALE"), is_stale("VALUE#STALE")
    (True, True, False)
    """
    return _below(sk) == _STALE


def is_edge(sk: str) -> bool:
    """
    >>> is_edge("SESSION#01S#SRC#h4sh#01M"), is_edge("SESSION#01S#VALUE#SRC#h4sh#01M")
    (True, False)
    """
    return sk.startswith(SESSION_PREFIX) and _below(sk).startswith(_EDGE)


def ends_of(edge_sk: str) -> tuple[str, str]:
    """The source's hash and the message's ULID of an edge.

    >>> ends_of("SESSION#01S#SRC#h4sh#01M")
    ('h4sh', '01M')
    """
    source, _, message_ulid = _below(edge_sk).removeprefix(_EDGE).partition("#")
    return source, message_ulid


def name_of(sk: str) -> str:
    """The name of a value.

    >>> name_of("SESSION#01S#VALUE#agent/state#1"), name_of("VALUE#theme")
    ('agent/state#1', 'theme')
    """
    return _below(sk).removeprefix(_VALUE)


def _below(sk: str) -> str:
    """What a key says after the session, if it has one."""
    return "".join(sk.split("#", 2)[2:]) if sk.startswith(SESSION_PREFIX) else sk


def activity_of(gsi1sk: str) -> str:
    """
    >>> activity_of("2026-01-01T00:00:00.000Z#01S")
    '2026-01-01T00:00:00.000Z'
    """
    return gsi1sk.split("#", 1)[0]
