"""flask-smorest, adapted to this API. Routes use `Blueprint`'s decorators; the OpenAPI document is
generated from them."""

import threading
from collections.abc import Callable
from copy import deepcopy
from typing import Any, TypeVar

import flask
import flask_smorest
import marshmallow as ma
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.openapi import OpenAPIConverter

from app.http import problems
from app.http.parser import Parser

View = TypeVar("View", bound=Callable[..., Any])


class Blueprint(flask_smorest.Blueprint):
    """A view's name becomes its operationId."""

    ARGUMENTS_PARSER = Parser()

    def arguments(self, schema: type[ma.Schema], **options: Any) -> Callable[[View], View]:
        """Uses one schema instance for all requests. webargs would create one per request, with all
        nested schemas, which takes longer than the validation itself."""
        decorator: Callable[[View], View] = super().arguments(schema(), **options)
        return decorator

    def problems(self, *statuses: int) -> Callable[[View], View]:
        """Documents these errors of a route, and those that every route can return."""

        def decorate(view: Any) -> Any:
            # Does what `alt_response` does, but without one wrapper around the view per status.
            view._apidoc = deepcopy(getattr(view, "_apidoc", {}))
            responses = view._apidoc.setdefault("response", {}).setdefault("responses", {})
            for status in sorted({*statuses, 401, 403, 429, 500, 503}):
                responses.setdefault(status, []).append(f"Problem{status}")
            return view

        return decorate

    def _prepare_arguments_doc(self, doc: Any, doc_info: Any, **kwargs: Any) -> Any:
        # flask-smorest names the 422 after http.HTTPStatus, which differs between Python versions.
        doc_info.get("arguments", {}).pop("responses", None)
        return super()._prepare_arguments_doc(doc, doc_info, **kwargs)

    def _store_endpoint_docs(self, endpoint: str, obj: Any, *args: Any, **options: Any) -> None:
        obj = self.doc(operationId=endpoint)(obj)
        super()._store_endpoint_docs(endpoint, obj, *args, **options)


class _Converter(OpenAPIConverter):
    """Adds a schema's `Meta.json_schema`, for what marshmallow cannot express. Leaves out defaults:
    openapi-typescript makes members with a default required, even in request bodies."""

    def schema2jsonschema(self, schema: ma.Schema) -> dict[str, Any]:
        documented: dict[str, Any] = super().schema2jsonschema(schema)  # type: ignore[no-untyped-call]
        for member in documented.get("properties", {}).values():
            member.pop("default", None)
        return documented | getattr(schema.Meta, "json_schema", {})


class _MarshmallowPlugin(MarshmallowPlugin):
    Converter = _Converter


class Api(flask_smorest.Api):
    ERROR_SCHEMA = problems.ProblemSchema
    DEFAULT_ERROR_RESPONSE_NAME = None

    def __init__(self, app: flask.Flask) -> None:
        super().__init__(app, spec_kwargs={"marshmallow_plugin": _MarshmallowPlugin()})
        self._undocumented: list[tuple[flask_smorest.Blueprint, Any]] = []
        self._lock = threading.Lock()

    def register_blueprint(
        self, blp: flask_smorest.Blueprint, *, parameters: Any = None, **options: Any
    ) -> None:
        """Registers the views only. To document them takes longer than all else at the start, and
        most processes never show the document."""
        self._app.extensions["flask-smorest"]["blp_name_to_api"][blp.name] = self
        self._app.register_blueprint(blp, **options)
        self._undocumented.append((blp, parameters))

    def document(self) -> dict[str, Any]:
        """The OpenAPI document. The first call makes it."""
        with self._lock:
            for blp, parameters in self._undocumented:
                blp.register_views_in_doc(
                    self, self._app, self.spec, name=blp.name, parameters=parameters
                )
                self.spec.tag({"name": blp.name, "description": blp.description})
            self._undocumented.clear()
            document: dict[str, Any] = self.spec.to_dict()
            return document

    def _register_pagination_header(self) -> None:
        """Does nothing. flask-smorest's pagination is not used, so its schema must not be in the
        document."""

    def _register_responses(self) -> None:
        problems.document_responses(self.spec)

    def _register_error_handlers(self) -> None:
        problems.register_handlers(self._app)
