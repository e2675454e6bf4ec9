"""The wheel, installed into an empty environment, works from any folder; the lock pins the declared ranges."""

import json
import os
import re
import socket
import subprocess
import sys
import sysconfig
import time
import tomllib
import urllib.request
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tests.tiny_run import COARSE, make_run

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_lock_pins_every_declared_dependency_within_its_range_and_nothing_else():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = {r.name: r for r in (Requirement(line) for line in lines if line and not line.startswith("#"))}
    extras = PROJECT["optional-dependencies"]
    declared = {r.name: r for r in map(Requirement, [*PROJECT["dependencies"], *extras["dev"], *extras["docs"]])}
    assert pins.keys() == declared.keys()
    for name, pin in pins.items():
        version = re.fullmatch(r"==([\w.]+)", str(pin.specifier))
        assert version and declared[name].specifier.contains(version[1]), name
    here = SpecifierSet(PROJECT["requires-python"])
    assert here.contains(sysconfig.get_python_version() + ".0") and here.contains("3.13.1")


def test_the_encoders_are_pinned_alike_in_the_file_and_the_extra():
    lines = (ROOT / "requirements-encoders.txt").read_text(encoding="utf-8").splitlines()
    assert [x for x in lines if not x.startswith("#")] == PROJECT["optional-dependencies"]["encoders"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """bin/ of a new environment with the wheel in it; what it depends on is lent by the environment of the tests.

    Lent by a .pth file: building and installing the wheel is what is proved here, not downloading torch once more.
    """
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("seminar_explorer-*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "env")], check=True)
    python = folder / "env" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", "-q", str(wheel)]
    subprocess.run(pip, check=True, capture_output=True)
    (site,) = (folder / "env" / "lib").glob("python*/site-packages")
    (site / "lent.pth").write_text(sysconfig.get_paths()["purelib"] + "\n", encoding="utf-8")
    return python.parent


def run(installed: Path, cwd: Path, *words: str) -> dict:
    found = subprocess.run([installed / "seminar", *words, "--json"], cwd=cwd, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)


def test_the_installed_command_answers_from_any_folder(installed, tmp_path):
    workspace = make_run(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    told = ("--workspace", str(workspace.root))
    assert {"tiny", "sample"} <= {row["dataset"] for row in run(installed, elsewhere, "datasets", *told)["datasets"]}
    assert run(installed, elsewhere, "report", "--dataset", "sample", *told)["people"] == 400
    bundled = ("--run", "sample-seminar", "--person", "p0302", "--item", "i00878")
    assert len(run(installed, elsewhere, "retrieve", *bundled, *told)["exact"]) > 0
    person = run(installed, elsewhere, "people", "--dataset", "tiny", *told)["people"][0]["person"]
    answer = run(
        installed, elsewhere, "retrieve", "--run", "run", "--person", person, "--item", "i3", "--spec", COARSE, *told
    )
    assert answer["exact"] and not list(elsewhere.iterdir())
    code = "import seminar_core as s; print(s.__file__)"
    where = subprocess.run([installed / "python", "-c", code], cwd=elsewhere, capture_output=True, text=True)
    assert str(installed.parent) in where.stdout


def test_the_installed_app_serves_its_pages(installed, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [installed / "seminar", "app", "--port", str(port), "--workspace", str(tmp_path / "w")]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(words, cwd=tmp_path, stdout=log, stderr=log, env=environment)
    try:
        until, healthy = time.monotonic() + 120, False
        while not healthy and time.monotonic() < until and server.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5) as answer:
                    healthy = answer.read() == b"ok"
            except OSError:
                time.sleep(0.2)
        assert healthy, (tmp_path / "log").read_text()
    finally:
        server.terminate()
        server.wait(30)
