"""The types of an application's events for Socket.IO's client in TypeScript."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from .description import Argument, Arguments, Description, Event, NamespaceDescription
from .schemas import REF, Schema

_MAPS = ("ServerToClientEvents", "ClientToServerEvents")
_AUTH = "HandshakeAuth"
_TYPES = "Array ArrayBuffer any bigint boolean never number object string symbol undefined unknown"
_RESERVED_WORDS = """
    arguments await break case catch class const continue debugger default delete do else enum eval export
    extends false finally for function if implements import in instanceof interface let new null package
    private protected public return static super switch this throw true try typeof var void while with
    yield
"""
_WORDS = frozenset(_RESERVED_WORDS.split())
# Names that classes of the application cannot have in the document.
RESERVED = _WORDS.union(_MAPS, (_AUTH,), _TYPES.split())

_SCALARS = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}
_ANY_ANSWER = "(...answer: any[]) => void"


def to_typescript(description: Description) -> str:
    """The document: two interfaces for each namespace, and the types that they refer to.

    Args:
        description: An application, in which no component has a name of `RESERVED`.
    """
    parts = [
        "// Made by `flask socketio typescript`. Use it with socket.io-client:\n"
        "//     const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io();"
    ]
    taken = set(description.components)
    for namespace in description.namespaces or (NamespaceDescription("/", (), (), None, False, ""),):
        parts += _namespace(namespace, taken)
    parts += [_component(name, schema) for name, schema in description.components.items()]
    return "\n\n".join(parts) + "\n"


def _namespace(namespace: NamespaceDescription, taken: set[str]) -> Iterable[str]:
    prefix = _prefix(namespace.name)
    while prefix and not taken.isdisjoint(prefix + name for name in (*_MAPS, _AUTH)):
        prefix += "_"
    taken.update(prefix + name for name in (*_MAPS, _AUTH))
    where = "" if namespace.name == "/" else f" in the namespace {json.dumps(namespace.name)}"
    if namespace.name == "*":
        where = " in namespaces that have no interfaces of their own"
    about = [namespace.text] if namespace.text else []
    undeclared = [] if namespace.sent else ["The application declares none of them with `event_type`."]
    yield _interface(
        prefix + _MAPS[0],
        [f"What the server sends{where}.", *about, *undeclared],
        ["[event: string]: (...data: any[]) => void;"] if undeclared else map(_event, namespace.sent),
    )
    others = ["It takes events of other names, too."] if namespace.any_event else []
    yield _interface(
        prefix + _MAPS[1],
        [f"What the server takes{where}.", *about, *others],
        ["[event: string]: (...data: any[]) => void;"]
        if others and not namespace.received
        else map(_event, namespace.received),
    )
    if namespace.auth is not None:
        comment = _comment([f"What a client connects with{where}: the `auth` of `io()`."])
        yield f"{comment}export type {prefix}{_AUTH} = {_type(namespace.auth)};"


def _prefix(namespace: str) -> str:
    """What the names for a namespace begin with."""
    if namespace in ("/", "*"):
        return "" if namespace == "/" else "AnyNamespace"
    words = re.findall("[A-Za-z0-9]+", namespace)
    name = "".join(word[0].upper() + word[1:] for word in words)
    return name if name.isidentifier() else f"Namespace{name}"


def _interface(name: str, text: list[str], members: Iterable[str]) -> str:
    lines = "".join(_indented(member) + "\n" for member in members)
    body = f"{{\n{lines}}}" if lines else "{}"
    return f"{_comment(text)}export interface {name} {body}"


# Events


def _event(event: Event) -> str:
    parameters = _parameters(event.arguments)
    if event.answers != ():
        callback = f"callback{'_' if any(each.name == 'callback' for each in event.arguments) else ''}"
        asked = any(event.answers or ())
        parameters = _with_callback(event.arguments, callback, _callback(event), asked)
    return f"{_comment([event.text])}{_key(event.name)}: ({parameters}) => void;"


def _with_callback(arguments: Arguments, name: str, callback: str, asked: bool) -> str:
    """Parameters with a callback, which a client that asks for nothing may leave out.

    What comes before a required one has to be there, and an optional one cannot follow any number of others:
    then there are several lists of parameters.
    """
    last = f"{name}{'' if asked else '?'}: {callback}"
    variadic = any(each.variadic for each in arguments)
    if not variadic and (not asked or all(each.required for each in arguments)):
        return ", ".join(filter(None, (_parameters(arguments), last)))
    needed = [Argument(each.name, each.schema, variadic=each.variadic) for each in arguments]
    lists = [
        needed[:count] for count in range(len(needed) + 1) if not any(a.required for a in arguments[count:])
    ]
    tuples = [", ".join(filter(None, (_parameters(each), f"{name}: {callback}"))) for each in lists]
    if not asked:
        tuples = [_parameters(arguments), *tuples]
    return "...data: " + " | ".join(f"[{each}]" for each in tuples)


def _callback(event: Event) -> str:
    if event.answers is None:
        return _ANY_ANSWER
    ways = [*event.answers, *event.refusals]
    if len(ways) == 1:
        return f"({_parameters(ways[0])}) => void"
    if all(len(way) < 2 and not any(each.variadic for each in way) for way in ways):
        optional = "" if all(ways) else "?"
        return f"(answer{optional}: {_union(_type(each.schema) for way in ways for each in way)}) => void"
    return f"(...answer: {_union(f'[{_parameters(way)}]' for way in ways)}) => void"


def _parameters(arguments: Sequence[Argument]) -> str:
    return ", ".join(map(_parameter, arguments))


def _parameter(argument: Argument) -> str:
    name = argument.name + ("_" if argument.name in _WORDS else "")
    kind = _type(argument.schema)
    if argument.variadic:
        return f"...{name}: {_array(kind)}"
    return f"{name}{'' if argument.required else '?'}: {kind}"


# Types


def _component(name: str, schema: Schema) -> str:
    comment = _comment([schema.get("description", "")])
    if schema.get("type") == "object" and "properties" in schema:
        return f"{comment}export interface {name} {_object(schema)}"
    return f"{comment}export type {name} = {_type(schema)};"


def _type(schema: Any) -> str:
    if not isinstance(schema, dict):
        return "any" if schema else "never"
    if "$ref" in schema:
        reference: str = schema["$ref"]
        return reference[len(REF) :]
    if "const" in schema:
        return _literal(schema["const"])
    if "enum" in schema:
        return _union(map(_literal, schema["enum"]))
    if "allOf" in schema:
        return " & ".join(_grouped(_type(part)) for part in schema["allOf"])
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return _union(map(_type, schema[key]))
    kind = schema.get("type")
    if isinstance(kind, list):
        return _union(_type({**schema, "type": each}) for each in kind)
    if kind == "array":
        return _list(schema)
    if kind == "object":
        return _object(schema)
    if schema.get("format") == "binary":
        return "ArrayBuffer"
    return _SCALARS.get(kind or "", "any")


def _list(schema: Schema) -> str:
    items = schema.get("items", {})
    if not isinstance(items, list):
        return "[]" if schema.get("maxItems") == 0 else _array(_type(items))
    least = schema.get("minItems", 0)
    parts = [_optional(_type(item), at >= least) for at, item in enumerate(items)]
    rest = schema.get("additionalItems")
    if isinstance(rest, dict):
        parts.append(f"...{_array(_type(rest))}")
    return f"[{', '.join(parts)}]"


def _object(schema: Schema) -> str:
    properties: dict[str, Any] = schema.get("properties", {})
    others = schema.get("additionalProperties")
    if not properties and (others is None or isinstance(others, dict)):
        return _dictionary(schema.get("propertyNames", {}), _type({} if others is None else others))
    required = schema.get("required", ())
    lines = [
        _comment(_about(part)) + f"{_key(name)}{'' if name in required else '?'}: {_type(part)};"
        for name, part in properties.items()
    ]
    if others:  # which an index signature of their own type would ask of all properties
        lines.append("[key: string]: any;")
    return "{\n" + "".join(_indented(line) + "\n" for line in lines) + "}" if lines else "{}"


def _dictionary(names: Schema, value: str) -> str:
    if "$ref" in names or "enum" in names or "const" in names:
        return f"{{ [key in {_type(names)}]?: {value} }}"
    return f"{{ [key: string]: {value} }}"


def _about(schema: Any) -> list[str]:
    if not isinstance(schema, dict):
        return []
    form = schema.get("format", "binary")
    return [schema.get("description", ""), "" if form == "binary" else f"@format {form}"]


def _optional(kind: str, optional: bool) -> str:
    return f"{_grouped(kind)}?" if optional else kind


def _array(kind: str) -> str:
    return f"{kind}[]" if kind.isidentifier() else f"Array<{kind}>"


def _grouped(kind: str) -> str:
    return f"({kind})" if " | " in kind else kind


def _union(kinds: Iterable[str]) -> str:
    return " | ".join(dict.fromkeys(kinds)) or "never"


def _literal(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


# Text


def _key(name: str) -> str:
    return name if name.isidentifier() else _literal(name)


def _comment(paragraphs: Iterable[str]) -> str:
    """A comment with its line's end; nothing without text."""
    lines = "\n\n".join(filter(None, paragraphs)).replace("*/", "*\\/").splitlines()
    if len(lines) < 2:
        return f"/** {lines[0]} */\n" if lines else ""
    return "/**\n" + "".join(f" * {line}".rstrip() + "\n" for line in lines) + " */\n"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" if line else line for line in text.split("\n"))
