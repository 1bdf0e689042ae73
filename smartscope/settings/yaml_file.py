"""Reading YAML the way users mean it: YAML 1.2 words, no key twice.

PyYAML speaks YAML 1.1, in which ``on:`` is the key ``True`` (and ``on`` is a key of
every policy), ``1e3`` a text, ``010`` an octal and a second key silently wins.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from smartscope.errors import Refused

if TYPE_CHECKING:
    from pathlib import Path


class _Loader(yaml.SafeLoader):
    """The safe loader with the scalars of YAML 1.2 and no duplicate keys."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # as PyYAML has it

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, (list, dict)):
                continue  # the loader itself tells that such keys cannot be
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    "in this mapping", node.start_mark, f"the key {key!r} stands twice",
                    key_node.start_mark,
                )  # fmt: skip
            seen.add(key)
        return super().construct_mapping(node, deep)


def _int(loader: _Loader, node: Any) -> int:
    text = str(loader.construct_scalar(node))
    return int(text, {"0x": 16, "0o": 8}.get(text[:2], 10))


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}",
        re.compile(f"^(?:{_pattern})$"),
        ["" if c == "\0" else c for c in _first],
    )
_Loader.add_constructor("tag:yaml.org,2002:int", _int)


def read_yaml(path: Path, *, what: str) -> dict[str, Any]:
    """Read a YAML (or JSON) file that holds keys and values.

    Parameters
    ----------
    path : Path
        The file.
    what : str
        What it is to the user, for the error: "experiment file".

    Raises
    ------
    smartscope.errors.Refused
        If it cannot be read, is not YAML, has a key twice or holds something else.
    """
    rule = "It is a text file in YAML or JSON."
    hint = "Check the path; 'smartscope schema' prints what an experiment may hold."
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as e:
        raise Refused(
            f"The {what} {path} cannot be read: {e.strerror}.", rule=rule, way_out=hint
        ) from e
    except UnicodeDecodeError as e:
        raise Refused(
            f"The {what} {path} is not a text in UTF-8.", rule=rule, way_out=hint
        ) from e
    try:
        content = yaml.load(text, Loader=_Loader)  # it is a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as e:
        raise Refused(
            f"The {what} {path} is not YAML: {e}\n",
            rule="Keys and values, indented by spaces, each key once.",
            way_out="Correct the line that is named.",
        ) from e
    if not isinstance(content, dict):
        held = "nothing" if content is None else f"a {type(content).__name__}"
        raise Refused(
            f"The {what} {path} holds {held}, not keys and values.",
            rule="An experiment file has at least the key 'survey'.",
            way_out="'smartscope schema' prints every key with its type and meaning.",
        )
    return content
