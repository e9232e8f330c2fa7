"""The interface of every peer. Messages are as in the service: role, content, metadata."""

from typing import Any, Protocol

Message = dict[str, Any]


class Peer(Protocol):
    keeps: str
    """What an append keeps consistent with the messages."""

    client: Any
    """The boto3 client that it uses. Its calls are counted."""

    def create_tables(self) -> None: ...

    def start(self, user: str) -> str:
        """Starts a conversation and returns its id."""
        ...

    def append(self, user: str, session: str, messages: list[Message]) -> None: ...

    def get(self, user: str, session: str) -> list[str]:
        """The contents of all messages, oldest first."""
        ...

    def list_latest(self, user: str) -> list[str] | None:
        """The ids of the 20 conversations with the latest activity; None if it cannot list them."""
        ...

    def delete(self, user: str, session: str) -> None: ...

    def count(self, user: str, session: str) -> int | None:
        """Its own message count; None if it would have to read the messages to tell."""
        ...


def table(
    name: str, *key: str, indexes: dict[str, tuple[str, ...]] | None = None
) -> dict[str, Any]:
    """Arguments for create_table, with string keys. Indexes project all attributes."""

    def schema(names: tuple[str, ...]) -> list[dict[str, str]]:
        return [
            {"AttributeName": n, "KeyType": kind}
            for n, kind in zip(names, ("HASH", "RANGE"), strict=False)
        ]

    names = dict.fromkeys([*key, *(n for names in (indexes or {}).values() for n in names)])
    made: dict[str, Any] = {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": schema(key),
        "AttributeDefinitions": [{"AttributeName": n, "AttributeType": "S"} for n in names],
    }
    if indexes:
        made["GlobalSecondaryIndexes"] = [
            {
                "IndexName": index,
                "KeySchema": schema(names),
                "Projection": {"ProjectionType": "ALL"},
            }
            for index, names in indexes.items()
        ]
    return made
