"""The same routes and models with FastAPI, Mangum, pydantic and PyJWT, in FastAPI's usual way.

It is written to be started, not used: each route makes one obvious call. The benchmark measures
GET of a session.
"""
# ruff: noqa: ARG001

import os
from typing import Annotated, Any, Literal

import boto3
import jwt
from fastapi import Depends, FastAPI, Header, HTTPException, Query, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from mangum import Mangum
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, field_validator, model_validator

TABLE = os.environ["SESSIONS_TABLE"]
client = boto3.client("dynamodb")
app = FastAPI(title="Session store", version="1.0.0")
bearer = HTTPBearer()

Line = Field(max_length=256, pattern=r"^[^\x00-\x1f\x7f]*$")


class FieldError(BaseModel):
    location: str
    field: str
    message: str


class Problem(BaseModel):
    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[FieldError]
    request_id: str


class NewSession(BaseModel):
    model_config = ConfigDict(extra="forbid")
    domain_id: Annotated[str, Field(min_length=1, max_length=128)]
    title: Annotated[str, Line] = "New Session"
    metadata: Annotated[dict[str, Annotated[str, Field(max_length=512)]], Field(max_length=16)] = {}
    expires_in_days: Annotated[int, Field(ge=1, le=3650)] | None = None


class SessionChanges(BaseModel):
    model_config = ConfigDict(extra="forbid")
    title: Annotated[str, Line] | None = None
    metadata: dict[str, str] | None = None
    expires_in_days: Annotated[int, Field(ge=1, le=3650)] | None = None

    @model_validator(mode="after")
    def something_changes(self) -> "SessionChanges":
        if not self.model_fields_set:
            raise ValueError("name at least one")
        return self


class ListedSession(BaseModel):
    session_id: str
    title: str
    domain_id: str
    message_count: int
    last_activity: str
    created_at: str


class Session(ListedSession):
    id: str
    metadata: dict[str, str]
    version: int
    updated_at: str
    expires_at: str | None


class Pagination(BaseModel):
    page: int | None
    limit: int
    total: int
    next_cursor: str | None


class SessionList(BaseModel):
    sessions: list[ListedSession]
    pagination: Pagination


class Point(BaseModel):
    model_config = ConfigDict(extra="allow")
    type: Literal["Point"]
    coordinates: Annotated[list[float], Field(min_length=2, max_length=3)]

    @field_validator("coordinates")
    @classmethod
    def in_range(cls, value: list[float]) -> list[float]:
        if abs(value[0]) > 180 or abs(value[1]) > 90:
            raise ValueError("out of range")
        return value


class Reference(BaseModel):
    model_config = ConfigDict(extra="allow")
    type: Annotated[str, Field(min_length=1)]
    reference_id: Annotated[str, Field(min_length=1)]
    summary: str
    url: HttpUrl | None = None
    location: Point | None = None


class Metadata(BaseModel):
    model_config = ConfigDict(extra="allow")
    references: list[Reference] = []


class Block(BaseModel):
    model_config = ConfigDict(extra="allow")
    type: str


class NewMessage(BaseModel):
    model_config = ConfigDict(extra="forbid")
    role: Literal["user", "assistant", "system", "tool"]
    name: Annotated[str, Line] | None = None
    content: str | list[Block]
    metadata: Metadata = Metadata()


class MessageBatch(BaseModel):
    messages: Annotated[list[NewMessage], Field(min_length=1, max_length=50)]


class Message(BaseModel):
    message_id: str
    session_id: str
    timestamp: str
    role: str
    name: str | None
    content: Any
    metadata: Metadata
    created_by: str


class MessageList(BaseModel):
    messages: list[Message]


class MessagePage(MessageList):
    next_cursor: str | None


class SessionWithMessages(Session):
    messages: list[Message]
    next_cursor: str | None


class Deletion(BaseModel):
    session_id: str
    deleted_messages: int


class Erasure(BaseModel):
    deleted_sessions: int
    deleted_messages: int


class Health(BaseModel):
    status: Literal["ok"]


PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem} for status in (400, 401, 403, 404, 412, 413, 415, 422, 500, 503)
}


def partition(token: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]) -> str:
    try:
        claims = jwt.decode(
            token.credentials,
            os.environ["JWT_SECRET"],
            algorithms=["HS256"],
            options={"require": ["exp", "sub", "tenant_id"]},
        )
    except jwt.PyJWTError:
        raise HTTPException(401) from None
    return f"{claims['tenant_id']}#{claims['sub']}"


Partition = Annotated[str, Depends(partition)]
IfMatch = Annotated[str | None, Header()]
Key = Annotated[str | None, Header(alias="Idempotency-Key", max_length=255)]


def key(partition: str, session_id: str) -> dict[str, Any]:
    return {"PK": {"S": partition}, "SK": {"S": f"SESSION#{session_id.removeprefix('sess_')}"}}


def query(partition: str) -> list[dict[str, Any]]:
    found = client.query(
        TableName=TABLE,
        KeyConditionExpression="PK = :pk",
        ExpressionAttributeValues={":pk": {"S": partition}},
    )
    return list(found["Items"])


@app.post("/api/v1/sessions", status_code=201, response_model=Session, responses=PROBLEMS)
def create_session(new: NewSession, partition: Partition, idempotency_key: Key = None):
    client.put_item(TableName=TABLE, Item={**key(partition, "sess_new"), "title": {"S": new.title}})


@app.get("/api/v1/sessions", response_model=SessionList, responses=PROBLEMS)
def list_sessions(
    partition: Partition,
    page: Annotated[int | None, Query(ge=1)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(max_length=1024)] = None,
):
    return query(partition)


@app.delete("/api/v1/sessions", response_model=Erasure, responses=PROBLEMS)
def delete_all_sessions(partition: Partition, confirm: Literal["all"]):
    return query(partition)


@app.get("/api/v1/sessions/{session_id}", response_model=SessionWithMessages, responses=PROBLEMS)
def get_session(
    session_id: str,
    partition: Partition,
    response: Response,
    if_none_match: Annotated[str | None, Header()] = None,
):
    found = client.get_item(TableName=TABLE, Key=key(partition, session_id), ConsistentRead=True)
    if "Item" not in found:
        raise HTTPException(404)
    etag = f'"{found["Item"]["last_ulid"]["S"]}"'
    if if_none_match == etag:
        return Response(status_code=304, headers={"ETag": etag})
    return query(partition)


@app.put("/api/v1/sessions/{session_id}", response_model=Session, responses=PROBLEMS)
def update_session(
    session_id: str, changes: SessionChanges, partition: Partition, if_match: IfMatch = None
):
    client.update_item(TableName=TABLE, Key=key(partition, session_id))


@app.delete("/api/v1/sessions/{session_id}", response_model=Deletion, responses=PROBLEMS)
def delete_session(session_id: str, partition: Partition, if_match: IfMatch = None):
    client.delete_item(TableName=TABLE, Key=key(partition, session_id))


@app.post(
    "/api/v1/sessions/{session_id}/messages",
    status_code=201,
    response_model=Message,
    responses=PROBLEMS,
)
def append_message(
    session_id: str, new: NewMessage, partition: Partition, idempotency_key: Key = None
):
    client.put_item(TableName=TABLE, Item=key(partition, session_id))


@app.post(
    "/api/v1/sessions/{session_id}/messages/batch",
    status_code=201,
    response_model=MessageList,
    responses=PROBLEMS,
)
def append_messages(
    session_id: str, batch: MessageBatch, partition: Partition, idempotency_key: Key = None
):
    client.put_item(TableName=TABLE, Item=key(partition, session_id))


@app.get("/api/v1/sessions/{session_id}/messages", response_model=MessagePage, responses=PROBLEMS)
def list_messages(
    session_id: str,
    partition: Partition,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Query(max_length=1024)] = None,
    order: Literal["asc", "desc"] = "asc",
    after: Annotated[str | None, Query(pattern=r"^msg_[0-7][0-9A-HJKMNP-TV-Z]{25}$")] = None,
):
    return query(partition)


@app.get(
    "/api/v1/sessions/{session_id}/messages/{message_id}",
    response_model=Message,
    responses=PROBLEMS,
)
def get_message(session_id: str, message_id: str, partition: Partition):
    return client.get_item(TableName=TABLE, Key=key(partition, session_id))


@app.get("/health", response_model=Health)
def get_health():
    return {"status": "ok"}


handler = Mangum(app, lifespan="off")
