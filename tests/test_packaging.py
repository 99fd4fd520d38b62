"""A wheel and an sdist, really built, installed and used, with a compiler on the path and without one.

An installation is a venv that has nothing but the artefact, and sees torch and the other dependencies of this
environment through a folder of links, which leaves out dropkit itself: installing torch anew would take minutes.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = ("src", "setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE")
BUILD_SDIST = "import sys; from setuptools.build_meta import build_sdist; build_sdist(sys.argv[1])"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("c++") is None, reason="building the kernels needs a C++ compiler"),
]


def environment(**changes):
    """Return this process's environment without what would decide about dropkit; None removes a variable."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("DROPKIT") and name not in ("PYTHONPATH", "CC", "CXX", "PYTHONHOME")
    }
    return kept | {"OMP_NUM_THREADS": "1"} | changes


def ran(command, **options):
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, **options
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """What a fresh clone has: no extension, nothing that was built before."""
    folder = tmp_path_factory.mktemp("tree")
    built = shutil.ignore_patterns("*.so", "*.egg-info", "__pycache__")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=built)
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def sdist(tree, tmp_path_factory):
    out = tmp_path_factory.mktemp("sdist")
    ran([sys.executable, "-c", BUILD_SDIST, out], cwd=tree, env=environment())
    (found,) = out.iterdir()
    return found


def build_wheel(source, out, **changes):
    """Build a wheel of a folder or an sdist, against the torch that is installed here."""
    options = ["--no-deps", "--no-build-isolation", "--no-cache-dir", "--disable-pip-version-check"]
    ran([sys.executable, "-m", "pip", "wheel", *options, "-w", out, source], env=environment(**changes))
    (found,) = out.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory):
    """The wheel that the sdist builds."""
    return build_wheel(sdist, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def plain_wheel(tree, tmp_path_factory):
    """The wheel that is built where there is no compiler."""
    return build_wheel(tree, tmp_path_factory.mktemp("plain"), CC="/nonexistent", CXX="/nonexistent")


@pytest.fixture(scope="module")
def dependencies(tmp_path_factory):
    """A folder of links to everything that is installed here but dropkit."""
    folder = tmp_path_factory.mktemp("dependencies")
    for place in {sysconfig.get_paths()[name] for name in ("purelib", "platlib")}:
        for entry in Path(place).iterdir():
            if not entry.name.lower().startswith(("dropkit", "__editable__")) and entry.suffix != ".pth":
                (folder / entry.name).symlink_to(entry)
    return folder


@pytest.fixture
def install(dependencies, tmp_path):
    """Install an artefact into a venv of its own; return its ``bin``."""

    def installed(artefact, **changes):
        venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
        bin = tmp_path / "venv" / "bin"
        (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
        (site / "dependencies.pth").write_text(f"{dependencies}\n")
        options = ["--no-deps", "--no-build-isolation", "--no-cache-dir", "--disable-pip-version-check"]
        pip = [sys.executable, "-m", "pip", "--python", bin / "python", "install", *options]
        ran([*pip, artefact], env=environment(**changes), cwd=tmp_path)
        home = ran([bin / "python", "-c", "import dropkit; print(dropkit.__file__)"], env=environment())
        assert Path(home.strip()).is_relative_to(site)
        return bin

    return installed


def used(bin, folder):
    """Run the built-in study where there is no compiler; return the kernels and the run files."""
    env = environment(PATH=str(bin))
    version = json.loads(ran([bin / "dropkit", "version", "--json"], env=env, cwd=folder))
    answer = ran([bin / "dropkit", "study", "--seeds", "2", "--json", "--out", "study"], env=env, cwd=folder)
    assert json.loads(answer)["verdict"] in ("helped", "no difference", "hurt")
    assert (folder / "study" / "report.html").stat().st_size > 10_000
    runs = {path.name: path.read_bytes() for path in (folder / "study" / "runs").iterdir()}
    assert len(runs) == 6
    return version["kernels"], runs


@pytest.fixture(scope="module")
def runs():
    """The run files of the first installation that was used: those of all others have to be equal."""
    return {}


def check(found, active, runs):
    kernels, records = found
    if active:
        assert kernels.endswith("(the widest that this processor has)")
        assert not kernels.startswith("reference")
    else:
        assert kernels == "reference (the extension was not built)"
    assert records == (runs or records)
    runs.update(records)


def test_the_sdist_holds_what_builds_and_nothing_that_was_built(sdist):
    with tarfile.open(sdist) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    assert {"setup.py", "pyproject.toml", "README.md", "LICENSE"} <= names
    csrc = "src/dropkit/ops/kernels/csrc"
    assert {f"{csrc}/{path.name}" for path in (ROOT / csrc).iterdir()} <= names
    assert {name for name in names if name.startswith(("tests/", "docs/", "experiments/"))} == set()
    assert not {name for name in names if name.endswith((".so", ".pyc", ".o"))}


def test_the_wheel_holds_every_module_and_no_source_of_the_kernels(wheel):
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
    package = ROOT / "src" / "dropkit"
    modules = {f"dropkit/{path.relative_to(package).as_posix()}" for path in package.rglob("*.py")}
    assert modules <= names
    rest = {name for name in names - modules if not name.startswith("dropkit-")}
    assert rest == {
        "dropkit/py.typed",
        "dropkit/ops/kernels/_native.abi3.so",
        "dropkit/ops/kernels/_native.pyi",
        *(f"dropkit/report/assets/{path.name}" for path in (package / "report" / "assets").iterdir()),
        *(f"dropkit/study/builtin/{path.name}" for path in (package / "study" / "builtin").glob("*.toml")),
    }
    assert wheel.name.startswith("dropkit-")
    assert "-cp311-abi3-" in wheel.name  # one wheel for every later Python


def test_a_wheel_with_kernels_needs_no_compiler(install, wheel, tmp_path, runs):
    check(used(install(wheel), tmp_path), True, runs)


def test_the_sdist_builds_the_kernels_where_there_is_a_compiler(install, sdist, tmp_path, runs):
    check(used(install(sdist), tmp_path), True, runs)


def test_the_sdist_installs_without_a_compiler(install, sdist, tmp_path, runs):
    check(used(install(sdist, PATH=str(tmp_path / "venv" / "bin")), tmp_path), False, runs)


def test_a_wheel_built_without_a_compiler_works(install, plain_wheel, tmp_path, runs):
    with zipfile.ZipFile(plain_wheel) as file:
        assert not [name for name in file.namelist() if name.endswith(".so")]
    check(used(install(plain_wheel), tmp_path), False, runs)


def test_a_missing_compiler_is_an_error_where_the_kernels_are_required(tree, tmp_path):
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", tmp_path, "--build-temp", tmp_path],
        cwd=tree,
        env=environment(CC="/nonexistent", CXX="/nonexistent", DROPKIT_REQUIRE_KERNELS="1"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "/nonexistent" in done.stderr
