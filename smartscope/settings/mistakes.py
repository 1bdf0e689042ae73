"""How mistakes in the experiment file are told: where, what, and the nearest key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError

from smartscope.errors import nearest

Place = tuple[int | str, ...]


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the models that may stand where the annotation does, nested ones too."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for arg in get_args(annotation) for model in models_in(arg)]


def told(error: Any) -> str:
    """Return one of pydantic's errors in words, with the nearest known word."""
    context = error.get("ctx", {})
    if error["type"] == "union_tag_invalid":
        known = [word.strip("' ") for word in context["expected_tags"].split(",")]
        word = context["discriminator"].strip("'")
        return (
            f"unknown {word} '{context['tag']}'; known: {', '.join(known)}."
            f"{nearest(context['tag'], known)}"
        )
    if error["type"] == "union_tag_not_found":
        return f"needs the key {context['discriminator']}."
    if error["type"] == "missing":
        return "needs this key."
    if error["type"] == "policy":
        return str(context["told"])
    if error["type"] == "model_type":
        return f"needs keys and values, got {_short(error['input'])}."
    message = str(error["msg"]).removeprefix("Value error, ").rstrip(".")
    return (
        f"{message}."
        if " got " in message
        else (f"{message}, got {_short(error['input'])}.")
    )


def all_told(error: ValidationError, root: type[BaseModel]) -> list[str]:
    """Return every mistake as ``"where: what"``.

    Parameters
    ----------
    error : pydantic.ValidationError
        What pydantic said.
    root : type of BaseModel
        The model that was asked for; its keys are the known ones.
    """
    lines: list[str] = []
    for e in error.errors(include_url=False):
        where, models = _walk(e["loc"], root)
        if e["type"] == "survey":
            lines += [
                f"{_dotted((*where, *below))}: {text}"
                for below, text in e["ctx"]["told"].items()
            ]
        elif e["type"] == "extra_forbidden":
            key = str(e["loc"][-1])
            known = {k for model in models for k in model.model_fields}
            lines.append(f"{_dotted(where)}: unknown key.{nearest(key, known)}")
        else:
            lines.append(f"{_dotted(where) or 'experiment'}: {told(e)}")
    return list(dict.fromkeys(lines))


def _walk(loc: Place, root: type[BaseModel]) -> tuple[Place, list[type[BaseModel]]]:
    """Return the location as the file has it, and the models its last key is in."""
    where: list[int | str] = []
    here: Any = root
    models = [root]
    for part in loc:
        choices = _choices(here)
        if part in choices:  # the tag of a union: pydantic names it, the file does not
            here = choices[part]
            continue
        where.append(part)
        models = models_in(here)
        here = _below(here, part)
    return tuple(where), models


def _choices(annotation: Any) -> dict[int | str, Any]:
    """Return the members of a union by the names pydantic gives them in a location."""
    annotation = _bare(annotation)
    members = get_args(annotation)
    if get_origin(annotation) in (dict, tuple, list) or not members:
        return {}
    named: dict[int | str, Any] = {}
    for member in members:
        bare = _bare(member)
        named[getattr(bare, "__name__", str(bare))] = member
        named.update(_choices(bare))
        for tag in _tags(member):
            named[tag] = member
    return named


def _tags(member: Any) -> list[str]:
    tags = [t.tag for t in getattr(member, "__metadata__", ()) if isinstance(t, Tag)]
    for model in [m for m in [_bare(member)] if isinstance(m, type)]:
        for word in ("kind", "policy"):
            field = getattr(model, "model_fields", {}).get(word)
            if field is not None and isinstance(field.default, str):
                tags.append(field.default)
    return tags


def _below(annotation: Any, part: int | str) -> Any:
    annotation = _bare(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field = annotation.model_fields.get(str(part))
        return None if field is None else field.annotation
    arguments = get_args(annotation)
    origin = get_origin(annotation)
    if origin in (dict, Mapping):
        return arguments[1]
    if origin in (tuple, list):
        return arguments[0]
    for member in arguments:  # X | None and the like
        if (found := _below(member, part)) is not None:
            return found
    return None


def _bare(annotation: Any) -> Any:
    return annotation.__origin__ if get_origin(annotation) is Annotated else annotation


def _dotted(where: Place) -> str:
    return ".".join(str(part) for part in where)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
