"""The lock, the schema and the promises about imports stay true."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mindthegap.config import schema_text

ROOT = Path(__file__).resolve().parents[2]
PINNED = re.compile(
    r"^([A-Za-z0-9._-]+)==([^ ]+)(?: ; (.+?))? \\$\n((?:    --hash=sha256:[0-9a-f]{64}.*\n)+)", re.MULTILINE
)


def declared() -> list[Requirement]:
    """Every requirement of pyproject.toml, extras included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    return [Requirement(text) for group in groups for text in group]


def locked() -> dict[str, set[str]]:
    """Package to pinned versions (one per Python where markers differ)."""
    pins: dict[str, set[str]] = {}
    for name, version, _, _ in PINNED.findall((ROOT / "envs/requirements.lock").read_text()):
        pins.setdefault(canonicalize_name(name), set()).add(version)
    return pins


def test_the_lock_satisfies_every_requirement():
    pins = locked()
    for requirement in declared():
        versions = pins.get(canonicalize_name(requirement.name), set())
        assert versions, f"{requirement.name} is not in envs/requirements.lock; run: make lock"
        for version in versions:
            assert requirement.specifier.contains(version, prereleases=True), f"{requirement}: run: make lock"


def test_the_lock_was_made_from_these_requirements():
    text = (ROOT / "envs/requirements.lock").read_text()
    blocks = re.split(r"\n(?=[A-Za-z0-9])", text)
    direct = {canonicalize_name(block.split("==")[0]) for block in blocks if "mindthegap-vis" in block}
    assert direct == {canonicalize_name(requirement.name) for requirement in declared()}, "run: make lock"


def test_every_pin_has_a_hash_and_no_address():
    text = (ROOT / "envs/requirements.lock").read_text()
    assert len(PINNED.findall(text)) == len(re.findall(r"^[A-Za-z0-9._-]+==", text, re.MULTILINE)) > 100
    assert "://" not in text


def test_uv_is_the_same_in_both_locks():
    pin = re.compile(r"^uv==(\S+)", re.MULTILINE)
    files = [(ROOT / "envs" / name).read_text() for name in ("requirements.lock", "bootstrap.lock")]
    assert pin.search(files[0])[1] == pin.search(files[1])[1]


def test_the_committed_schema_is_the_generated_one():
    committed = (ROOT / "workflow/schemas/config.schema.json").read_text()
    assert committed == schema_text(), "run: make schema"


def test_the_library_imports_neither_torch_nor_mmdet():
    modules = [
        ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
        for path in (ROOT / "src/mindthegap").rglob("*.py")
        if path.name not in ("__init__.py", "__main__.py")
    ]
    program = f"import importlib, sys\nfor name in {modules!r}: importlib.import_module(name)\n"
    program += (
        "bad = {'torch', 'mmdet', 'mmcv', 'mmengine', 'methods'} & {name.split('.')[0] for name in sys.modules}\n"
    )
    program += "sys.exit(f'imported: {sorted(bad)}' if bad else 0)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_help_imports_nothing_heavy():
    program = "import sys\nfrom mindthegap import cli\n"
    program += "bad = {'numpy', 'pandas', 'scipy', 'matplotlib', 'pulp'} & set(sys.modules)\n"
    program += "sys.exit(f'imported: {sorted(bad)}' if bad else 0)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_conda_recipe_has_the_pins_of_the_lock():
    text = (ROOT / "envs/mindthegap.yaml").read_text()
    recipe: dict[str, set[str]] = {}
    for name, version in re.findall(r'^ +- "([A-Za-z0-9._-]+)==([^ "]+)', text, re.MULTILINE):
        recipe.setdefault(canonicalize_name(name), set()).add(version)
    assert recipe == locked(), "run: make lock"
