"""The shape of the repository: imports look upstream only, the README tree equals the disk, the core draws nothing."""

from __future__ import annotations

import ast
import re
import subprocess
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "seminar_core"

FOUNDATION = {
    "errors",
    "contracts",
    "config",
    "files",
    "glossary",
    "progress",
    "access",
    "workspace",
    "runtime",
    "beside",
    "processes",
    "sums",
}
UPSTREAM = {
    "foundation": set(),
    "data": {"foundation"},
    "encoders": {"foundation", "data"},
    "model": {"foundation", "data", "encoders"},
    "retrieval": {"foundation", "data", "encoders"},
    "evaluation": {"foundation", "data", "encoders", "model", "retrieval"},
    "training": {"foundation", "data", "encoders", "model", "retrieval", "evaluation"},
    "jobs": {"foundation", "data", "training"},
    "studies": {
        "foundation",
        "data",
        "encoders",
        "model",
        "retrieval",
        "evaluation",
        "training",
        "alignment",
        "search",
    },
    "lives": {"foundation", "data", "encoders"},
    "alignment": {"foundation", "data", "encoders", "model", "evaluation", "training"},
    "search": {"foundation", "data", "encoders", "model", "retrieval", "evaluation", "training"},
}
UPSTREAM["stories"] = set(UPSTREAM) - {"jobs", "studies"}
UPSTREAM["interface"] = set(UPSTREAM)
UPSTREAM["cli"] = set(UPSTREAM)
TOP_LEVEL = {
    "app", "seminar_core", "sample_data", "tests", "requirements.txt", ".streamlit", "README.md", "Makefile",
    "requirements-encoders.txt",
    "pyproject.toml", ".gitignore", ".ci", "benchmarks", "docs", "CHANGELOG.md", "LICENSE", "ARCHITECTURE.md",
    "CONTRIBUTING.md", "SECURITY.md",
}  # fmt: skip


def part_of(module: str) -> str:
    """The layer a dotted module below seminar_core belongs to."""
    first = module.split(".")[1] if "." in module else ""
    return "foundation" if first in FOUNDATION or not first else first


def imported_modules(path: Path, *, package: str) -> set[str]:
    """Dotted names that a source file imports, relative imports resolved."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")
            base = base[: len(base) - node.level + 1] if node.level else []
            stem = ".".join([*base, *((node.module or "").split(".") if node.module else [])])
            found.add(stem)
            if stem == "seminar_core":
                found |= {f"{stem}.{alias.name}" for alias in node.names}
    return found


def imported_names(path: Path, *, package: str) -> set[str]:
    """Modules that a source file imports, where `from package import module` names the module."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")
            base = base[: len(base) - node.level + 1] if node.level else []
            stem = ".".join([*base, *((node.module or "").split(".") if node.module else [])])
            submodules = {f"{stem}.{alias.name}" for alias in node.names if is_module(f"{stem}.{alias.name}")}
            found |= submodules or {stem}
    return found


def is_module(name: str) -> bool:
    place = ROOT.joinpath(*name.split("."))
    return place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()


def core_files() -> list[Path]:
    return sorted(p for p in CORE.rglob("*.py") if "__pycache__" not in p.parts)


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", core_files(), ids=module_of)
def test_imports_look_upstream_only(path: Path):
    module = module_of(path)
    own = {"seminar_core.__main__": "cli", "seminar_core": "interface"}.get(module, part_of(module))
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for name in imported_modules(path, package=package):
        drawing = {"streamlit", "app"} | ({"plotly"} if own != "stories" else set())
        assert name.split(".")[0] not in drawing, f"{module} imports {name}: of the core, stories alone draw"
        if name.startswith("seminar_core"):
            other = part_of(name)
            assert other == own or other in UPSTREAM[own], (
                f"{module} ({own}) imports {name} ({other}), which is downstream"
            )


def test_the_app_is_imported_by_nobody_but_itself():
    for path in core_files():
        assert not re.search(r"^(from|import) app\b", path.read_text(encoding="utf-8"), re.M), path


def test_the_top_level_holds_only_what_is_fixed():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split(
        "\n"
    )
    if tracked == [""]:
        pytest.skip("not a git checkout: what is tracked cannot be listed")
    assert {line.split("/")[0] for line in tracked if line} <= TOP_LEVEL


def test_the_readme_tree_equals_the_disk():
    readme = (CORE / "README.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^- `([^`]+\.py)`", readme, re.M))
    on_disk = {str(p.relative_to(CORE)) for p in core_files() if p.name not in {"__init__.py", "__main__.py"}}
    assert listed == on_disk, f"only listed: {sorted(listed - on_disk)}; only on disk: {sorted(on_disk - listed)}"


def test_the_files_that_the_architecture_names_exist():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z_/]+\.py)`", text))
    assert len(named) > 30
    missing = {n for n in named if not ((ROOT / n).is_file() or (CORE / n).is_file() or (ROOT / "app" / n).is_file())}
    assert not missing


def test_every_module_opens_with_what_it_does():
    for path in core_files():
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), f"{path} has no module docstring"


def test_no_module_is_named_after_nothing():
    banned = {"utils", "util", "helpers", "common", "misc"}
    assert not [
        p for p in [*core_files(), *(ROOT / "app").rglob("*.py")] if p.stem in banned or p.parent.name in banned
    ]


def test_no_door_that_bad_input_could_use():
    doors = re.compile(
        r"\bpickle\b\.|allow_pickle\s*=\s*True|weights_only\s*=\s*False|shell\s*=\s*True|\beval\(|unsafe_allow_html\s*=\s*True"
    )
    allowed = {"model.eval("}
    for path in [*core_files(), *(ROOT / "app").rglob("*.py")]:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            hit = doors.search(re.sub(r"\.eval\(", "", line))
            assert not hit or any(word in line for word in allowed), f"{path}:{number}: {line.strip()}"


def test_errors_are_never_swallowed_broadly():
    broad = re.compile(r"except(\s+(Base)?Exception\b.*)?:\s*$")
    for path in [*core_files(), *(ROOT / "app").rglob("*.py")]:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            assert not broad.match(line.strip()), f"{path}:{number}: a bare or broad except"


def test_no_file_is_part_of_a_circle_of_imports():
    """Imports inside functions and under TYPE_CHECKING count too: a circle is a circle for its reader."""
    files = {
        module_of(p): p for part in ("seminar_core", "app", "benchmarks") for p in sorted((ROOT / part).rglob("*.py"))
    }
    graph = {}
    for module, path in files.items():
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        named = imported_names(path, package=package)
        graph[module] = {name for name in named if name in files and name != module}
    order = TopologicalSorter(graph)
    try:
        order.prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_no_file_repeats_its_folders_name_and_no_folder_is_a_crowd():
    for path in core_files():
        assert path.stem != path.parent.name, path
    for folder in {p.parent for p in core_files()}:
        assert len([p for p in folder.glob("*.py") if p.name != "__init__.py"]) <= 24, folder
