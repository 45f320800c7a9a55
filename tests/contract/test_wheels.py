"""The two wheels carry what they need, and the client's decision needs nothing but Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Distribution -> its wheel, built from the checkout."""
    folder = tmp_path_factory.mktemp("wheels")
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
    ]
    for source in (ROOT, ROOT / "imrs_client"):
        subprocess.run([*build, "--wheel-dir", folder, source], check=True, capture_output=True)
    return {path.name.split("-")[0]: path for path in folder.glob("*.whl")}


def test_the_server_brings_its_migrations_and_queries(wheels: dict[str, Path]) -> None:
    names = set(ZipFile(wheels["imrs_server"]).namelist())
    migrations = {f"imrs_server/migrations/{path.name}" for path in (ROOT / "migrations").glob("*.sql")}
    queries = {
        str(path.relative_to(ROOT)) for path in (ROOT / "imrs_server").rglob("*.sql") if path.is_file()
    }
    assert migrations
    assert queries
    assert migrations | queries <= names
    assert not {name.split("/")[0] for name in names if "dist-info" not in name} - {"imrs_server"}


def test_the_client_stands_alone(wheels: dict[str, Path], tmp_path: Path) -> None:
    ZipFile(wheels["imrs_client"]).extractall(tmp_path)
    assert (tmp_path / "imrs_client" / "py.typed").exists()
    code = "import sys; sys.path.insert(0, sys.argv[1]); import imrs_client.decide, imrs_client.tasks"
    # Isolated and without site-packages: neither grpc nor protobuf is there.
    subprocess.run([sys.executable, "-I", "-S", "-c", code, tmp_path], check=True)
