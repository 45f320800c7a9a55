"""Task detection (SRS 3.5): tools, then files, then words."""

from __future__ import annotations

import pytest

from imrs_client.tasks import SRS_RULES, Attachment, Confidence, Detection, Rules, Source, detect, merge


def test_tools_go_before_files_and_files_before_words() -> None:
    found = detect(
        SRS_RULES,
        message="a PowerPoint about python",
        tools_used=["unheard_of", "http_fetch"],
        attachments=[Attachment("report.pdf")],
    )
    assert found == Detection(
        task_type="research",
        confidence=Confidence.HIGH,
        source=Source.TOOL,
        alternatives=("document", "slides", "code"),
    )


@pytest.mark.parametrize(("tool", "task"), SRS_RULES.tools.items())
def test_every_tool_of_the_srs_names_its_task(tool: str, task: str) -> None:
    found = detect(SRS_RULES, tools_used=[tool])
    assert (found.task_type, found.confidence, found.source) == (task, Confidence.HIGH, Source.TOOL)


@pytest.mark.parametrize(
    ("word", "task"), [(word, task) for task, words in SRS_RULES.words.items() for word in words]
)
def test_every_word_of_the_srs_names_its_task(word: str, task: str) -> None:
    found = detect(SRS_RULES, message=f"Please: {word.upper()}!")
    assert found.task_type == task or task in found.alternatives
    assert (found.confidence, found.source) == (Confidence.MEDIUM, Source.KEYWORD)


@pytest.mark.parametrize("message", ["a description", "my subscription", "landslides", "photosynthesis", ""])
def test_a_word_within_another_says_nothing(message: str) -> None:
    assert detect(SRS_RULES, message=message) == Detection()


def test_files_tell_the_task_by_type_or_name_and_ask_for_capabilities() -> None:
    found = detect(SRS_RULES, attachments=[Attachment("A.PDF"), Attachment(mime_type="Image/PNG")])
    assert (found.task_type, found.source, found.alternatives) == ("document", Source.MIME, ("image",))
    assert found.required_capabilities == ("vision",)
    spoken = detect(SRS_RULES, task_type="notes", attachments=[Attachment("memo.mp3")])
    assert (spoken.task_type, spoken.source, spoken.required_capabilities) == (
        "notes",
        Source.REQUEST,
        ("audio",),
    )


def test_stronger_rules_are_asked_first_and_an_empty_value_removes_one() -> None:
    own = Rules(
        tools={"http_fetch": "", "deploy": "ops"},
        mime_types={".tf": "ops", "application/*": "archive"},
        words={"ops": ("c++", "roll back", "-dress code"), "code": ()},
    )
    rules = merge(own, SRS_RULES)
    assert detect(rules, tools_used=["http_fetch"]).task_type == "general"
    assert detect(rules, tools_used=["deploy"]).task_type == "ops"
    assert detect(rules, attachments=[Attachment("main.TF")]).task_type == "ops"
    assert detect(rules, attachments=[Attachment("a.pdf")]).task_type == "archive"
    assert detect(rules, message="Roll back the C++ one").task_type == "ops"
    assert detect(rules, message="roll back the dress code").task_type == "general"
    assert detect(rules, message="python").task_type == "general"
