"""What is asked of every peer. Messages are the service's: role, content, metadata."""

from typing import Any, Protocol

Message = dict[str, Any]


class Peer(Protocol):
    keeps: str
    """What an append keeps in step with the messages."""

    client: Any
    """The boto3 client that it uses, to be metered."""

    def create_tables(self) -> None: ...

    def start(self, user: str) -> str:
        """A new conversation; gives its id."""
        ...

    def append(self, user: str, session: str, messages: list[Message]) -> None: ...

    def get(self, user: str, session: str) -> list[str]:
        """The contents of all messages, oldest first."""
        ...

    def list_latest(self, user: str) -> list[str] | None:
        """The ids of the 20 conversations with the latest activity; None where it cannot."""
        ...

    def delete(self, user: str, session: str) -> None: ...

    def count(self, user: str, session: str) -> int | None:
        """How many messages it says there are, where it says so without reading them."""
        ...


def table(
    name: str, *key: str, indexes: dict[str, tuple[str, ...]] | None = None
) -> dict[str, Any]:
    """What create_table takes for string keys; indexes carry everything."""

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
