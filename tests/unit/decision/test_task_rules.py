"""Levels of rules of task detection, and what names of files tell."""

from __future__ import annotations

import pytest

from imrs_client.task_rules import mime_type_of
from imrs_client.tasks import SRS_RULES, Attachment, Rules, detect, merge


def of_file(rules: Rules, filename: str, mime_type: str = "") -> str:
    return detect(rules, attachments=[Attachment(filename, mime_type)]).task_type


@pytest.mark.parametrize(
    ("filename", "mime_type", "task"),
    [
        ("a.pdf", "", "document"),
        ("Letter.DOCX", "", "document"),
        ("talk.pptx", "", "slides"),
        ("", "application/vnd.ms-powerpoint", "slides"),
        ("sales.csv", "", "analysis"),
        ("sales.xlsx", "", "analysis"),
        ("main.ts", "", "code"),
        ("main.py", "application/octet-stream", "code"),
        ("photo", "image/heic; name=photo", "image"),
        ("notes.txt", "", "general"),
        ("README", "", "general"),
    ],
)
def test_the_built_in_rules_know_files_by_type_or_ending(filename: str, mime_type: str, task: str) -> None:
    assert of_file(SRS_RULES, filename, mime_type) == task


def test_a_typescript_file_is_not_a_film() -> None:
    assert mime_type_of("index.d.ts") == "text/x-typescript"
    assert detect(SRS_RULES, attachments=[Attachment("a.ts")]).required_capabilities == ()


def test_the_rule_that_says_most_wins_in_whatever_order_they_come() -> None:
    keys = {"*": "any", "text/*": "text", "text/x-*": "code", "text/x-python": "python", ".test.py": "test"}
    keys[".py"] = "ending"
    for known in (keys, dict(reversed(keys.items()))):
        rules = Rules(mime_types=known)
        found = [of_file(rules, *each) for each in (("a.test.py",), ("b.py",), ("", "text/x-python"))]
        assert found == ["test", "ending", "python"]
        assert [of_file(rules, f"a.{each}") for each in ("go", "md", "png")] == ["code", "text", "any"]


def test_a_stronger_glob_goes_over_what_it_matches_of_a_weaker_level() -> None:
    weaker = Rules(mime_types={"image/png": "image", ".png": "image", "image/*": "image", ".md": "notes"})
    stronger = Rules(mime_types={"image/*": "scan"})
    assert merge(stronger, weaker).mime_types == {"image/*": "scan", ".md": "notes"}
    assert of_file(merge(Rules(mime_types={"image/*": ""}), weaker), "a.png") == "general"
    assert merge(weaker, stronger).mime_types == weaker.mime_types


def test_levels_may_be_merged_in_steps_and_what_is_removed_stays_away() -> None:
    tenant = Rules(tools={"http_fetch": ""}, mime_types={"application/*": "archive"}, words={"code": ()})
    everybody = Rules(tools={"deploy": "ops"}, mime_types={".pdf": "scan", ".md": "notes"})
    merged = merge(tenant, everybody, SRS_RULES)
    assert merge(merge(tenant, everybody), SRS_RULES) == merge(tenant, merge(everybody, SRS_RULES)) == merged
    assert [of_file(merged, f"a.{each}") for each in ("pdf", "md", "png")] == ["archive", "notes", "image"]
    assert [detect(merged, tools_used=[each]).task_type for each in ("http_fetch", "deploy")] == [
        "general",
        "ops",
    ]
    assert detect(merged, message="python").task_type == "general"
