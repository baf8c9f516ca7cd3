"""Schemas: forms of the model as JSON Schema, made from what their fields say, for the OpenAPI document.

Each class is one schema under its name.  What is read may be masked, so that a class with personal data has a second
one, `…Shown`, in which such a field is any text.
"""

import re
from collections.abc import Iterable

from node.model.field import Checked, NamedField, fields_of
from node.model.form import Part
from node.model.kind import Choice, Day, Flag, Kind, Many, Number, Text
from node.model.personal import has_personal
from node.web.operations import TEXT, JsonObject

SHOWN = "Shown"


def ref(name: str) -> JsonObject:
    """Return a reference to a schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def name_of(of: type[Checked], *, shown: bool = False) -> str:
    """Return the name of a class's schema."""
    return of.__name__ + (SHOWN if shown and has_personal(of) else "")


def schemas_of(classes: Iterable[type[Checked]], *, shown: bool = False) -> JsonObject:
    """Return the schemas of classes, and of all that their fields hold, by name."""
    found: JsonObject = {}
    waiting = list(classes)
    while waiting:
        of = waiting.pop()
        if name_of(of, shown=shown) not in found:
            found[name_of(of, shown=shown)] = _schema(of, shown=shown)
            waiting += [part for field in fields_of(of) for part in _parts(field.says.kind)]
    return found


def _schema(of: type[Checked], *, shown: bool) -> JsonObject:
    fields = fields_of(of)
    required = [field.name for field in fields if field.is_required]
    properties = {field.name: _property(field, shown=shown) for field in fields}
    about = (of.__doc__ or "").partition("\n")[0]
    found: JsonObject = {"type": "object", "description": about, "properties": properties}
    return found | {"additionalProperties": False} | ({"required": required} if required else {})


def _property(field: NamedField, *, shown: bool) -> JsonObject:
    if field.says.mask is not None and shown:
        return {**TEXT, "title": field.says.chinese, "description": "Personal data: masked."}
    found = _schema_of(field.says.kind, shown=shown, required=field.is_required)
    about = {"description": "Personal data: sealed where it is kept."} if field.says.mask else {}
    return found if "$ref" in found else {**found, "title": field.says.chinese, **about}


def _schema_of(kind: Kind, *, shown: bool, required: bool = True) -> JsonObject:
    match kind:
        case Text():
            return _text(kind, required=required)
        case Number():
            return {"type": "integer", "minimum": kind.least, "maximum": kind.most}
        case Choice():
            values = [member.value for member in kind.among]
            return {"type": "string" if isinstance(values[0], str) else "integer", "enum": values}
        case Day():
            return {"type": "string", "format": "date"}
        case Flag():
            return {"type": "boolean"}
        case Many():
            least = {"minItems": 1} if required else {}
            items = _schema_of(kind.of, shown=shown)
            return {"type": "array", "items": items, "maxItems": kind.most, **least}
        case Part():
            return ref(name_of(kind.of, shown=shown))
    raise TypeError(f"no schema for {kind.says}")


def _text(kind: Text, *, required: bool) -> JsonObject:
    """A text that may be left out may be empty, too."""
    least = {"minLength": 1} if required else {}
    pattern = f"^(?:{kind.form}){'' if required else '?'}$"
    form = {"pattern": pattern} if kind.form else {}
    is_example = kind.form and re.fullmatch(kind.form, kind.example, re.ASCII)
    example = {"examples": [kind.example]} if is_example else {}
    return {"type": "string", **least, "maxLength": kind.longest, **form, **example}


def _parts(kind: Kind) -> list[type[Checked]]:
    inner = kind.of if isinstance(kind, Many) else kind
    return [inner.of] if isinstance(inner, Part) else []
