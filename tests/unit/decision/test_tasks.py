"""Task detection (SRS 3.5): tools, then files, then words."""

from __future__ import annotations

import pytest

from imrs_client.tasks import SRS_RULES, Attachment, Confidence, Detection, Rules, Source, detect, merge

# SRS 3.5.4.
WORDS = {
    "slides": ["powerpoint", "ppt", "presentation", "slides"],
    "code": ["code", "program", "script", "function", "python", "javascript"],
    "analysis": ["analyze", "examine", "investigate", "review"],
    "summarization": ["summarize", "summary", "condense", "tldr"],
    "translation": ["translate", "translation"],
    "image": ["image", "picture", "photo", "diagram"],
    "document": ["document", "report", "paper", "pdf"],
}
PHRASES = ["{}", "Please {} this", "Can you {} this for me?", "I need help with this {}", "I have a {} here"]


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
        required_capabilities=("function_calling",),
        alternatives=("document", "slides", "code"),
    )


@pytest.mark.parametrize(("tool", "task"), SRS_RULES.tools.items())
def test_every_tool_of_the_srs_names_its_task(tool: str, task: str) -> None:
    found = detect(SRS_RULES, tools_used=[tool])
    assert (found.task_type, found.confidence, found.source) == (task, Confidence.HIGH, Source.TOOL)


@pytest.mark.parametrize(("word", "task"), [(word, task) for task, words in WORDS.items() for word in words])
def test_a_short_message_with_a_word_of_the_srs_is_of_its_task(word: str, task: str) -> None:
    for phrase in PHRASES:
        found = detect(SRS_RULES, message=phrase.format(word.upper()))
        assert (found.task_type, found.confidence, found.source) == (task, Confidence.MEDIUM, Source.KEYWORD)


def test_nothing_is_general() -> None:
    assert detect(SRS_RULES) == Detection()
    assert detect(SRS_RULES, message="?") == Detection()


def test_a_hint_is_less_sure_than_a_request() -> None:
    hinted = detect(SRS_RULES, message="Which books on Python would you give to somebody who likes puzzles?")
    assert (hinted.task_type, hinted.confidence) == ("code", Confidence.LOW)
    asked = detect(SRS_RULES, message="Write Python code that solves puzzles of somebody who likes them")
    assert (asked.task_type, asked.confidence) == ("code", Confidence.MEDIUM)


def test_the_highest_score_wins_and_equal_ones_go_by_name_in_whatever_order_the_rules_come() -> None:
    words = {"one": ("apple^2",), "two": ("apple^2", "pear^2"), "zero": ("apple^2",), "none": ("apple^1.9",)}
    for rules in (Rules(words=words), Rules(words=dict(reversed(words.items())))):
        found = detect(rules, message="an apple and a pear that fell from the tree at night")
        assert (found.task_type, found.alternatives) == ("two", ("one", "zero"))


def test_tools_ask_for_a_model_that_calls_functions() -> None:
    found = detect(
        SRS_RULES, tools_used=["unheard_of"], attachments=[Attachment("a.png"), Attachment("b.jpg")]
    )
    assert (found.task_type, found.required_capabilities) == ("image", ("vision", "function_calling"))


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
