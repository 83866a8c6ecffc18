"""What an operation of an OpenAPI (or Swagger 2) document takes, as rules see it in ``args``: query, form, JSON body.

Values of a query or a form are texts, whatever the document calls them: that is how they arrive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from msgspec import structs

from gateway.policy.argument_shapes import ANY, Field, Part, Schemas, Shape, both, kind, says, union

_FORM = "application/x-www-form-urlencoded"
_NOTHING = Shape(frozenset({"map"}), open=False)


class Arguments:
    """Reads the operations of one document. ``repeated``: a parameter that is given twice becomes a list."""

    def __init__(self, document: dict[str, Any], *, repeated: bool = False) -> None:
        self._document, self._repeated = document, repeated
        self._schemas = Schemas(document)

    def of(self, template: str, method: str) -> Callable[[], Shape]:
        """Makes the shape of an operation's ``args`` when it is first asked for."""
        return cache(lambda: self._shape(template, method))

    def _shape(self, template: str, method: str) -> Shape:
        schemas = self._schemas
        item = self._document["paths"][template]
        operation = item[method]
        if not isinstance(operation, dict):
            return ANY
        parameters: dict[tuple[str, str], dict[str, Any]] = {}
        for one in (*_list(item.get("parameters")), *_list(operation.get("parameters"))):
            resolved = schemas.target(one)
            if not isinstance(resolved, dict):
                return ANY
            parameters[str(resolved.get("in")), str(resolved.get("name"))] = resolved
        query = self._texts([one for (where, _), one in parameters.items() if where == "query"], "the query")
        bodies = [*self._bodies(schemas, operation.get("requestBody")), *self._swagger(schemas, parameters.values())]
        if not bodies:
            return query
        return ANY if ANY in bodies else both([query, union(bodies)])

    def _texts(self, parameters: Iterable[dict[str, Any]], where: str) -> Shape:
        """Parameters that arrive as texts."""
        fields: dict[str, Field] = {}
        nested = False
        for one in parameters:
            schema = one.get("schema", one)
            kinds = schema.get("type") if isinstance(schema, dict) else None
            nested |= kinds == "object" or "content" in one
            shape = ANY if self._repeated or kinds in ("array", "object") else _text(where, schema)
            fields[str(one.get("name"))] = Field(Part(shape), says(one.get("required")))
        return structs.replace(_NOTHING, fields=fields, open=nested)

    def _bodies(self, schemas: Schemas, body: Any) -> list[Shape]:
        """One shape for each kind of body that rules can read."""
        if body is None:
            return []
        resolved = schemas.target(body)
        content = resolved.get("content") if isinstance(resolved, dict) else None
        if not isinstance(content, dict):
            return [ANY]
        shapes = []
        for media, described in content.items():
            name = str(media).partition(";")[0].strip().lower()
            schema = described.get("schema") if isinstance(described, dict) else None
            if name == _FORM:
                shapes.append(self._form(schemas.shape(schema)))
            elif name == "application/json" or name.endswith("+json") or "*" in name:
                shapes.append(schemas.shape(schema))
        return shapes or [ANY]

    def _form(self, shape: Shape) -> Shape:
        fields = {name: Field(Part(self._typed(field.shape)), field.required) for name, field in shape.fields.items()}
        return structs.replace(shape, fields=fields)

    def _typed(self, shape: Shape) -> Shape:
        """What becomes of a value that a form carries."""
        if self._repeated or not shape.kinds or shape.kinds & {"list", "map"}:
            return ANY
        return shape if shape.kinds == {"string"} else kind("string", note="it comes from a form")

    def _swagger(self, schemas: Schemas, parameters: Iterable[dict[str, Any]]) -> list[Shape]:
        """Swagger 2 has bodies and forms among the parameters."""
        found = list(parameters)
        bodies = [schemas.shape(one.get("schema")) for one in found if one.get("in") == "body"]
        form = [one for one in found if one.get("in") == "formData"]
        return [*bodies, self._texts(form, "a form")] if form else bodies


def _text(where: str, schema: Any) -> Shape:
    named = schema.get("type") if isinstance(schema, dict) else None
    if named in ("integer", "number", "boolean"):
        return kind("string", note=f"it comes from {where}")
    words = _list(schema.get("enum")) if isinstance(schema, dict) else []
    return Shape(frozenset({"string"}), words=frozenset(word for word in words if isinstance(word, str)))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
