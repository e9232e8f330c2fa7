"""ADK's artifacts.

A version of a file is two values of its session: `artifact:FILE/about/VERSION` (JSON) and, if it is
a text or bytes, `artifact:FILE/data/VERSION`. Those of a file named `user:…` belong to the user and
have `adk:APP/` before that.

This module is over 250 lines because ADK's protocol is one class.
"""

import base64
from asyncio import gather
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from google.adk.artifacts import BaseArtifactService, artifact_util
from google.adk.artifacts.base_artifact_service import ArtifactVersion, ensure_part
from google.adk.errors.input_validation_error import InputValidationError
from google.genai import types
from pydantic_core import to_jsonable_python
from typing_extensions import override

from session_store import AsyncClient, AsyncValues, NotFound, PreconditionFailed
from session_store.adapters._names import escape, unescape
from session_store.adapters.adk import events
from session_store.adapters.adk.names import of_app, session_key
from session_store.errors import error_of
from session_store.ids import session_id_of
from session_store.models import Operation, Result, Value

ARTIFACT = "artifact:"

MAX_REFERENCES = 5
"""How many `artifact://` references are followed, as in ADK's own services."""

TRIES = 10
"""Of saving, while others save the same file."""

REMOVED = types.Part(inline_data=types.Blob(mime_type="application/octet-stream", data=b""))
"""What ADK saves to remove a file when it rewinds a session."""


class SessionStoreArtifactService(BaseArtifactService):
    """An artifact has up to 3 MB, and is deleted with its session. If there is no such session,
    saving creates it."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    @override
    async def save_artifact(
        self,
        *,
        app_name: str,
        user_id: str,
        filename: str,
        artifact: types.Part | dict[str, Any],
        session_id: str | None = None,
        custom_metadata: dict[str, Any] | None = None,
    ) -> int:
        """Two requests. If several save a file at once, each gets a version of its own.

        Raises:
            InputValidationError
            TooLarge
        """
        file = _File(self._client, app_name, user_id, session_id, filename)
        part = ensure_part(artifact)
        about = {
            "mime_type": file.type_of(part),
            "create_time": ArtifactVersion(version=0, canonical_uri="").create_time,
            "custom_metadata": to_jsonable_python(custom_metadata, inf_nan_mode="constants"),
        }
        about["kind"], about["part"], data = _divided(part)
        for attempt in range(TRIES):
            last = await file.last()
            version = 0 if last is None else file.version(last) + 1
            operations: list[Operation] = [events.write(file.about(version), about)]
            if data is not None:
                text = base64.b64encode(data).decode()
                operations.append({"put": file.data(version), "base64": text})
            try:
                await file.put([{**each, "if_none_match": "*"} for each in operations])
            except PreconditionFailed:
                if attempt == TRIES - 1:
                    raise
            else:
                break
        return version

    @override
    async def load_artifact(
        self,
        *,
        app_name: str,
        user_id: str,
        filename: str,
        session_id: str | None = None,
        version: int | None = None,
    ) -> types.Part | None:
        """One request, and one for each reference."""
        for followed in range(MAX_REFERENCES + 1):
            file = _File(self._client, app_name, user_id, session_id, filename)
            part = await file.load(version)
            if part is None or not artifact_util.is_artifact_ref(part):
                break
            to = artifact_util.resolve_artifact_reference(
                file_uri=str(part.file_data and part.file_data.file_uri),
                app_name=app_name,
                user_id=user_id,
                session_id=session_id,
                remaining_depth=MAX_REFERENCES - followed,  # it raises if that is 0
            )
            session_id, filename, version = to.session_id, to.filename, to.version
        return None if part in (types.Part(), REMOVED) else part

    @override
    async def list_artifact_keys(
        self, *, app_name: str, user_id: str, session_id: str | None = None
    ) -> list[str]:
        """Those of the session and of the user."""
        places = [_File(self._client, app_name, user_id, None, "user:")]
        if session_id is not None:
            places.append(_File(self._client, app_name, user_id, session_id, ""))
        return sorted(set().union(*await gather(*(place.names() for place in places))))

    @override
    async def delete_artifact(
        self, *, app_name: str, user_id: str, filename: str, session_id: str | None = None
    ) -> None:
        file = _File(self._client, app_name, user_id, session_id, filename)
        with suppress(NotFound):
            await file.place.delete_all(file.prefix)

    @override
    async def list_versions(
        self, *, app_name: str, user_id: str, filename: str, session_id: str | None = None
    ) -> list[int]:
        file = _File(self._client, app_name, user_id, session_id, filename)
        return [file.version(value) for value in await file.versions(names_only=True)]

    @override
    async def list_artifact_versions(
        self, *, app_name: str, user_id: str, filename: str, session_id: str | None = None
    ) -> list[ArtifactVersion]:
        file = _File(self._client, app_name, user_id, session_id, filename)
        return [file.described(value) for value in await file.versions()]

    @override
    async def get_artifact_version(
        self,
        *,
        app_name: str,
        user_id: str,
        filename: str,
        session_id: str | None = None,
        version: int | None = None,
    ) -> ArtifactVersion | None:
        file = _File(self._client, app_name, user_id, session_id, filename)
        if version is None:
            found = await file.last(names_only=False)
        else:
            found = await file.place.find(file.about(version))
        return file.described(found) if found else None


class _File:
    """Where the versions of a file are."""

    def __init__(
        self,
        client: AsyncClient,
        app_name: str,
        user_id: str,
        session_id: str | None,
        filename: str,
    ) -> None:
        """
        Raises:
            InputValidationError
        """
        artifact_util.validate_path_segment(app_name, "app_name")
        artifact_util.validate_path_segment(user_id, "user_id")
        self._client = client.acting_for(user_id)
        self._app_name, self._user_id, self._filename = app_name, user_id, filename
        self._session_id: str | None = None
        if filename.startswith("user:"):
            self.place: AsyncValues = self._client.values
            self.root = of_app(app_name) + ARTIFACT
        elif session_id is None:
            raise InputValidationError("Session ID must be provided for session-scoped artifacts.")
        else:
            artifact_util.validate_path_segment(session_id, "session_id")
            self._session_id, self._key = session_id, session_key(app_name, session_id)
            self.place = self._client.session_values(session_id_of(self._key))
            self.root = ARTIFACT
        self.prefix = f"{self.root}{escape(filename)}/"

    def about(self, version: int) -> str:
        return f"{self.prefix}about/{version:010}"

    def data(self, version: int) -> str:
        return f"{self.prefix}data/{version:010}"

    def version(self, value: Value) -> int:
        return int(value.name.rpartition("/")[2])

    def type_of(self, part: types.Part) -> str | None:
        """The type, if it is known before the artifact is loaded.

        Raises:
            InputValidationError: no artifact, or a reference to another user's.
        """
        if part.inline_data is not None:
            return part.inline_data.mime_type
        if part.text is not None:
            return "text/plain"
        if part.file_data is None or not part.file_data.file_uri:
            raise InputValidationError("Not supported artifact type.")
        if not artifact_util.is_artifact_ref(part):
            return part.file_data.mime_type
        artifact_util.resolve_artifact_reference(
            file_uri=part.file_data.file_uri,
            app_name=self._app_name,
            user_id=self._user_id,
            session_id=self._session_id,
            remaining_depth=1,
        )
        return None

    def described(self, value: Value) -> ArtifactVersion:
        about, version = events.content_of(value), self.version(value)
        return ArtifactVersion(
            version=version,
            canonical_uri=artifact_util.get_artifact_uri(
                self._app_name, self._user_id, self._filename, version, self._session_id
            ),
            custom_metadata=about["custom_metadata"] or {},
            create_time=about["create_time"],
            mime_type=about["mime_type"],
        )

    async def put(self, operations: Sequence[Operation]) -> None:
        """All or none. Creates the session if there is none."""
        try:
            await self.place.batch(operations, atomic=True)
        except NotFound:
            await self._client.sessions.create(key=self._key, domain_id=self._app_name)
            await self.place.batch(operations, atomic=True)

    async def last(self, *, names_only: bool = True) -> Value | None:
        """What is told about the last version."""
        try:
            page = await self.place.page(
                f"{self.prefix}about/", order="desc", limit=1, names_only=names_only
            )
        except NotFound:
            return None
        return page.values[0] if page.values else None

    async def versions(self, *, names_only: bool = False) -> list[Value]:
        try:
            found = self.place.list(f"{self.prefix}about/", names_only=names_only, limit=1000)
            return [value async for value in found]
        except NotFound:
            return []

    async def names(self) -> set[str]:
        """All files in the same place."""
        try:
            found = self.place.list(self.root, names_only=True, limit=1000)
            files = {value.name.removeprefix(self.root).partition("/")[0] async for value in found}
        except NotFound:
            return set()
        return {unescape(file) for file in files}

    async def load(self, version: int | None) -> types.Part | None:
        """The part as it was saved. One request, unless a version is saved meanwhile."""
        operations: list[Operation]
        if version is None:
            operations = [
                {"list": f"{self.prefix}{what}/", "order": "desc", "limit": 1}
                for what in ("about", "data")
            ]
        else:
            operations = [{"get": self.about(version)}, {"get": self.data(version)}]
        try:
            about, data = map(_found, await self.place.batch(operations))
        except NotFound:
            return None
        if about is None:
            return None
        kept = events.content_of(about)
        if kept["kind"] and (data is None or self.version(data) != self.version(about)):
            return await self.load(self.version(about))
        return _joined(kept["kind"], kept["part"], data.content if data else b"")


def _found(result: Result) -> Value | None:
    if not result.ok and result.status != 404:
        raise error_of(result.status, result.problem)
    return result.value or next(iter(result.values), None)


def _divided(part: types.Part) -> tuple[str | None, dict[str, Any], bytes | None]:
    """What kind of data it has, the rest as JSON, and the data."""
    if part.inline_data is not None:
        rest = part.model_dump(mode="json", exclude_none=True, exclude={"inline_data": {"data"}})
        return "inline_data", rest, part.inline_data.data or b""
    if part.text is not None:
        rest = part.model_dump(mode="json", exclude_none=True, exclude={"text"})
        return "text", rest, part.text.encode("utf-8", "surrogatepass")
    return None, part.model_dump(mode="json", exclude_none=True), None


def _joined(kind: str | None, rest: dict[str, Any], data: bytes) -> types.Part:
    part = types.Part.model_validate(rest)
    if kind == "text":
        part.text = data.decode("utf-8", "surrogatepass")
    elif kind and part.inline_data is not None:
        part.inline_data.data = data
    return part
