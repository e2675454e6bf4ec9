"""Settings as text and plain values: read from TOML, `--set` and run.json, changed by name, compared, written back.

Training, around the dataclasses of `recipe`, of which this file knows nothing but that they are nested dataclasses with
plain leaves. TOML files hold the leaves' names, flat or in tables by component.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from ..errors import ConfigError, CorruptFileError, MissingFileError

C = TypeVar("C")


def leaves(config: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted name -> value of every setting, in declaration order."""
    found: dict[str, Any] = {}
    for entry in fields(config):
        value = getattr(config, entry.name)
        name = f"{prefix}{entry.name}"
        found.update(leaves(value, f"{name}.") if is_dataclass(value) else {name: value})
    return found


def describe(config: Any) -> str:
    """The configuration in one line."""
    return " ".join(f"{name.rpartition('.')[2]}={value}" for name, value in leaves(config).items())


def to_dict(config: Any) -> dict[str, Any]:
    """Nested plain values, as run.json keeps them."""
    return {
        entry.name: to_dict(value) if is_dataclass(value := getattr(config, entry.name)) else value
        for entry in fields(config)
    }


def from_dict(kind: type[C], values: Mapping[str, Any]) -> C:
    """The configuration that `to_dict` wrote; settings added since get their default, unknown ones are refused."""
    return with_values(kind(), flatten(values))


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as dotted names."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found.update(flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value})
    return found


def with_values(config: C, values: Mapping[str, Any]) -> C:
    """A copy of `config` with settings changed; strings are read as the setting's type.

    Args:
        values: leaf or dotted name -> value.

    Raises:
        ConfigError: an unknown name (the known ones are listed), or a value that does not fit.
    """
    known = leaves(config)
    changes: dict[str, dict[str, Any]] = {}
    for name, value in by_full_name(config, values).items():
        component, _, leaf = name.rpartition(".")
        changes.setdefault(component, {})[leaf] = parse(leaf, value, type(known[name]))
    for component, entries in changes.items():
        if component:
            config = replace(config, **{component: replace(getattr(config, component), **entries)})  # type: ignore[type-var]
        else:
            config = replace(config, **entries)  # type: ignore[type-var]
    return config


def by_full_name(config: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` by the dotted names that the settings have in `config`.

    Raises:
        ConfigError: an unknown name (the known ones are listed).
    """
    known = leaves(config)
    by_leaf = {name.rpartition(".")[2]: name for name in known}
    found = {}
    for given, value in values.items():
        name = given if given in known else by_leaf.get(given)
        if name is None:
            near = difflib.get_close_matches(given.rpartition(".")[2], by_leaf, n=1)
            raise ConfigError(
                f"setting {given!r} is not known; known: {', '.join(by_leaf)}",
                hint=f"did you mean {near[0]!r}?" if near else "choose one of the known settings",
            )
        found[name] = value
    return found


def parse(name: str, value: Any, kind: type) -> Any:
    """`value` as `kind`, when nothing is lost by it.

    Raises:
        ConfigError: it does not fit.
    """
    try:
        if kind is bool:
            if isinstance(value, bool):
                return value
            return {"true": True, "false": False, "1": True, "0": False}[str(value).lower()]
        if kind in (int, float) and isinstance(value, bool):
            raise ValueError
        return whole(value) if kind is int else kind(value)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise ConfigError(
            f"setting {name} = {value!r} is not of type {kind.__name__}", hint=f"give {name} as {kind.__name__}"
        ) from error


def whole(value: Any) -> int:
    """`value` as a whole number, to its last digit; `1e3` and 2.0 are whole numbers too.

    Raises:
        ValueError, TypeError, OverflowError: it is none.
    """
    if isinstance(value, int | str):
        with suppress(ValueError):
            return int(value)
    number = float(value)
    if not number.is_integer():
        raise ValueError
    return int(number)


def assignments(texts: Iterable[str]) -> dict[str, str]:
    """`key=value` texts of `--set` as a mapping.

    Raises:
        ConfigError: no equals sign.
    """
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"--set {text!r} is not of the form key=value", hint="for example --set negatives=50")
        found[name.strip()] = value.strip()
    return found


def load_config(kind: type[C], path: Path | None = None, settings: Iterable[str] = (), **values: Any) -> C:
    """Defaults, then the TOML file, then `--set`, then `values` that are not None. Raises as `given_settings`."""
    return with_values(kind(), given_settings(kind, path, settings, **values))


def given_settings(kind: type, path: Path | None = None, settings: Iterable[str] = (), **values: Any) -> dict[str, Any]:
    """Dotted name -> value of what is set by the TOML file, then by `--set`, then by `values` that are not None.

    Raises:
        MissingFileError: the file is not there.
        CorruptFileError: it is not TOML.
        ConfigError: a setting is unknown or does not fit.
    """
    content: dict[str, Any] = {}
    if path is not None:
        if not Path(path).is_file():
            raise MissingFileError(f"configuration file {path} does not exist", hint="check the path after --config")
        try:
            content = flatten(tomllib.loads(Path(path).read_text(encoding="utf-8")))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise CorruptFileError(
                f"{path} is not TOML: {error or 'nested too deeply'}",
                hint="write lines such as seed = 3, or below a line [batches] negatives = 20",
            ) from error
    told = {name: value for name, value in values.items() if value is not None}
    layers = (content, assignments(settings), told)
    return {name: value for layer in layers for name, value in by_full_name(kind(), layer).items()}


def to_toml(config: Any, heading: str = "") -> str:
    """The configuration as a TOML file that `load_config` reads back to an equal one."""
    lines = [f"# {line}" if line else "#" for line in heading.splitlines()]
    plain = to_dict(config)
    lines += [f"{name} = {_toml(value)}" for name, value in plain.items() if not isinstance(value, dict)]
    for table, entries in plain.items():
        if isinstance(entries, dict):
            lines += ["", f"[{table}]", *(f"{name} = {_toml(value)}" for name, value in entries.items())]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(value)


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Dotted name -> (in a, in b) for every setting on which two stored configurations differ."""
    left, right = flatten(a), flatten(b)
    return {
        name: (left.get(name), right.get(name))
        for name in dict.fromkeys([*left, *right])
        if left.get(name) != right.get(name)
    }
