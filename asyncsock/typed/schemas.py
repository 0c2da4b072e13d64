"""JSON Schemas of Python types, in draft 07, which AsyncAPI extends."""

from __future__ import annotations

import re
import typing
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import msgspec
from msgspec import inspect

Schema = dict[str, Any]
Node = tuple[str, str]  # a component before it has its name: RECEIVED or SENT, and what its class is called

REF = "#/components/schemas/"
RECEIVED, SENT = "received", "sent"

# Where a schema has others: as a value, in a list, in a dictionary.
_VALUES = ("additionalItems", "additionalProperties", "contains", "items", "not", "propertyNames")
_LISTS = ("allOf", "anyOf", "items", "oneOf", "prefixItems")
_NAMED = ("patternProperties", "properties")

# What the regular expressions of Python have and those of JavaScript lack.
_PYTHON_ONLY = re.compile(r"\\[AZz]|\(\?(P|#|>|\(|[a-zA-Z-]+[:)])|[*+?}]\+")

_WITH_FIELDS = (inspect.StructType, inspect.DataclassType, inspect.NamedTupleType, inspect.TypedDictType)


def schemas_of(
    received: Sequence[Any], sent: Sequence[Any], reserved: Collection[str] = ()
) -> tuple[list[Schema], list[Schema], dict[str, Schema]]:
    """The JSON Schemas of types.

    Classes are components, to which schemas refer. A client may leave out what has a default value, and the
    server sends it, so that a class of both lists may be two components.

    Args:
        received: Types of what clients send.
        sent: Types of what the server sends.
        reserved: Names that no component may have.

    Returns:
        The schemas of either list, and the components by their names, which are identifiers. A type that
        neither msgspec nor Pydantic can describe is described as any value.
    """
    types = [known if _can_be_described(known) else Any for known in (*received, *sent)]
    models = _Models()
    # msgspec describes what has no models of Pydantic in it.
    links = [models.refer(known) if _holds_model(known) else None for known in types]
    of_msgspec = [known if link is None else Any for known, link in zip(types, links, strict=True)]
    classes = list(_classes(inspect.multi_type_info(of_msgspec)))
    made, components = msgspec.json.schema_components(
        [*of_msgspec, *(info.cls for info in classes)], schema_hook=models.refer, ref_template=REF + "{name}"
    )
    pairs = zip(made[: len(types)], links, strict=True)
    found = [schema if link is None else link for schema, link in pairs]
    ways = [RECEIVED] * len(received) + [SENT] * len(sent)
    nodes: dict[Node, Schema] = {}
    translate: dict[str, Callable[[Schema], Schema]] = {}
    for way in (RECEIVED, SENT):
        linked, of_models = models.schemas(way)
        translate[way] = _translation(linked)
        for name, schema in {**components, **of_models}.items():
            nodes[way, name] = _changed(schema, translate[way])
    for info, schema in zip(classes, made[len(types) :], strict=True):
        _say_what_is_sent(nodes[SENT, _name(schema)], info)
    roots = [(way, _changed(schema, translate[way])) for way, schema in zip(ways, found, strict=True)]
    names = _names(roots, nodes, reserved)

    def named(way: str, schema: Schema) -> Schema:
        def rename(part: Schema) -> Schema:
            return {"$ref": REF + names[way, _name(part)]} if "$ref" in part else part

        changed: Schema = _changed(schema, rename)
        return changed

    return (
        [named(way, root) for way, root in roots[: len(received)]],
        [named(way, root) for way, root in roots[len(received) :]],
        {name: named(way, nodes[way, cls]) for (way, cls), name in names.items()},
    )


def _can_be_described(known: Any) -> bool:
    models = _Models()
    try:
        if _holds_model(known):
            models.refer(known)
        else:
            msgspec.json.schema_components([known], schema_hook=models.refer)
        for way in (RECEIVED, SENT):
            models.schemas(way)
    except Exception:  # whatever a class of the application raises
        return False
    return True


def _classes(part: Any, seen: set[Any] | None = None) -> Iterator[Any]:
    """What msgspec knows of the classes with fields in what it knows of types."""
    seen = set() if seen is None else seen
    if isinstance(part, (list, tuple)):
        for each in part:
            yield from _classes(each, seen)
    elif isinstance(part, (inspect.Type, inspect.Field)):
        if isinstance(part, _WITH_FIELDS):
            if part.cls in seen:
                return
            seen.add(part.cls)
            yield part
        yield from _classes([getattr(part, name) for name in part.__struct_fields__], seen)


def _is_model(known: Any) -> bool:
    """Whether a type is a model or a dataclass of Pydantic's."""
    return isinstance(known, type) and hasattr(known, "__pydantic_validator__")


def _holds_model(known: Any) -> bool:
    return _is_model(known) or any(map(_holds_model, typing.get_args(known)))


class _Models:
    """The types that Pydantic describes, because there are models in them."""

    def __init__(self) -> None:
        self._types: list[Any] = []

    def refer(self, known: Any) -> Schema:
        """The schema of such a type, or of a class that msgspec does not know."""
        if not _holds_model(known):
            return {"description": f"{getattr(known, '__name__', known)}, a class of Python"}
        if known not in self._types:
            self._types.append(known)
        return {"$ref": f"{REF}model {self._types.index(known)}"}

    def schemas(self, way: str) -> tuple[dict[str, Schema], dict[str, Schema]]:
        """What the references of `refer` stand for, and the components to which that refers."""
        if not self._types:
            return {}, {}
        from pydantic import TypeAdapter
        from pydantic.json_schema import GenerateJsonSchema

        class WithDefaults(GenerateJsonSchema):
            def field_is_required(self, field: Any, total: bool) -> bool:
                if self.mode == "serialization" and field["type"] != "typed-dict-field":
                    return True  # as `model_dump` has it
                return super().field_is_required(field, total)

        mode: Any = "validation" if way == RECEIVED else "serialization"
        made, schema = TypeAdapter.json_schemas(
            [(number, mode, TypeAdapter(known)) for number, known in enumerate(self._types)],
            ref_template=REF + "pydantic {model}",
            schema_generator=WithDefaults,
        )
        links = {f"model {number}": each for (number, _), each in made.items()}
        return links, {f"pydantic {name}": each for name, each in schema.get("$defs", {}).items()}


# Schemas


def references(schema: Any) -> Iterator[str]:
    """The names of the components that a schema refers to."""
    found: list[str] = []

    def look(part: Schema) -> Schema:
        if "$ref" in part:
            found.append(_name(part))
        return part

    _changed(schema, look)
    yield from found


def _name(schema: Schema) -> str:
    """The name in a reference."""
    reference: str = schema["$ref"]
    return reference[len(REF) :]


def _changed(schema: Any, change: Callable[[Schema], Schema]) -> Any:
    """A copy of a schema in which the parts have been changed, and then the whole."""
    if not isinstance(schema, dict):
        return schema  # True and False are schemas too
    new = dict(schema)
    for key in _VALUES:
        if key in new:
            new[key] = _changed(new[key], change)
    for key in _LISTS:
        if isinstance(new.get(key), list):
            new[key] = [_changed(part, change) for part in new[key]]
    for key in _NAMED:
        if key in new:
            new[key] = {name: _changed(part, change) for name, part in new[key].items()}
    return change(new)


def _translation(links: dict[str, Schema]) -> Callable[[Schema], Schema]:
    """A change to draft 07, from what msgspec and Pydantic say in a newer one or in OpenAPI's words.

    Args:
        links: What references are replaced with.
    """

    def translate(schema: Schema) -> Schema:
        schema.pop("discriminator", None)
        if schema.get("contentEncoding") == "base64":  # which is for JSON; Socket.IO has attachments
            schema = {key: schema[key] for key in ("title", "description") if key in schema}
            schema.update(type="string", format="binary")
        if "prefixItems" in schema:
            if "items" in schema:
                schema["additionalItems"] = schema["items"]
            schema["items"] = schema.pop("prefixItems")
        if _PYTHON_ONLY.search(schema.get("pattern", "")):
            del schema["pattern"]
        if "$ref" not in schema:
            return schema
        target = {"$ref": schema.pop("$ref")}
        if _name(target) in links:
            target = _changed(links[_name(target)], translate)
        return {**schema, "allOf": [target]} if schema else target  # a $ref hides the keys beside it

    return translate


def _say_what_is_sent(schema: Schema, info: Any) -> None:
    """Have the schema of a class require what there always is when the server sends an object of it."""
    if isinstance(schema.get("items"), list):
        schema["minItems"] = len(schema["items"])
    elif isinstance(info, (inspect.StructType, inspect.DataclassType)):
        config = getattr(info.cls, "__struct_config__", None)
        if config is None or not config.omit_defaults:
            absent = {field.encode_name for field in info.fields if _may_be_unset(field)}
            absent.update(_left_out(info.cls))
            schema["required"] = [name for name in schema["properties"] if name not in absent]


def _left_out(cls: Any) -> Iterator[str]:
    """The fields of dataclasses and attrs classes that msgspec does not send, or not always."""
    cls = getattr(cls, "__origin__", cls)
    for field in getattr(cls, "__attrs_attrs__", ()):
        if field.name.startswith("_"):
            yield field.name
    for field in getattr(cls, "__dataclass_fields__", {}).values():
        if not field.init:  # a default value stays in the class
            yield field.name


def _may_be_unset(field: inspect.Field) -> bool:
    """Whether a field's default value is UNSET, of which msgspec tells no more than that there is one."""
    return not field.required and field.default is field.default_factory is msgspec.NODEFAULT


# Names


def _names(
    roots: list[tuple[str, Schema]], nodes: dict[Node, Schema], reserved: Collection[str]
) -> dict[Node, str]:
    """The name of each component that is used, in the order of their use."""
    used: dict[Node, None] = {}
    waiting = [(way, name) for way, root in reversed(roots) for name in reversed(list(references(root)))]
    while waiting:
        node = waiting.pop()
        if node not in used:
            used[node] = None
            waiting += [(node[0], name) for name in reversed(list(references(nodes[node])))]
    apart = _apart({name for _, name in used if (RECEIVED, name) in used and (SENT, name) in used}, nodes)
    names: dict[Node, str] = {}
    taken = set(reserved)
    for way, name in used:
        other = names.get((SENT if way == RECEIVED else RECEIVED, name))
        if other is not None and name not in apart:
            names[way, name] = other
            continue
        wanted = _identifier(name) + ("Input" if way == RECEIVED and name in apart else "")
        number, free = 1, wanted
        while free in taken:
            number += 1
            free = f"{wanted}{number}"
        taken.add(free)
        names[way, name] = free
    return names


def _apart(both: set[str], nodes: dict[Node, Schema]) -> set[str]:
    """Those of the components of both ways that differ, or refer to one that does."""
    apart = {name for name in both if nodes[RECEIVED, name] != nodes[SENT, name]}
    while True:
        more = {name for name in both - apart if not apart.isdisjoint(references(nodes[SENT, name]))}
        if not more:
            return apart
        apart |= more


def _identifier(name: str) -> str:
    name = re.sub(r"\W+", "_", name.removeprefix("pydantic "), flags=re.ASCII).strip("_")
    return name if name[:1].isalpha() else f"_{name}"
