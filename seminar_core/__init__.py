"""SEMINAR Explorer: the core, in the order of the data's journey from raw events to trained runs and diagnostics.

`import seminar_core as sc; sc.open("sample").run("my-run").retrieve("p0302", "i00878").frame()`: see
`seminar_core.interface`, which is imported when it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .interface import Answer, Lives, Run, datasets, open

__all__ = ["Answer", "Lives", "Run", "datasets", "open"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module(".interface", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
