"""Every page can be found, and every link of a page leads somewhere."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.splitlines()
)  # fmt: skip
INDEX = ROOT / "docs" / "README.md"
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^ *```.*?^ *```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)


@cache
def links(page: Path) -> tuple[tuple[Path, str], ...]:
    """The files that a page names relative to itself, each with its anchor."""
    text = CODE.sub("", page.read_text(encoding="utf-8"))
    found = [each.partition("#") for each in LINK.findall(text) if "://" not in each]
    return tuple(((page.parent / path).resolve() if path else page, anchor) for path, _, anchor in found)


@cache
def anchors(page: Path) -> frozenset[str]:
    """Headings, as GitHub makes anchors of them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for path, anchor in links(page):
        assert path.exists(), f"{path.relative_to(ROOT)} is not there"
        if anchor:
            assert anchor in anchors(path), f"{path.relative_to(ROOT)} has no heading for #{anchor}"


def test_the_index_names_every_page() -> None:
    pages = {page for page in PAGES if page.is_relative_to(ROOT / "docs")} - {INDEX}
    assert len(pages) > 20
    assert pages - {path for path, _ in links(INDEX)} == set()
    assert INDEX in {path for path, _ in links(ROOT / "README.md")}
