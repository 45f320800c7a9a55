"""What people write, and which task it is: what must fire, and what fired once and must not."""

from __future__ import annotations

import pytest

from imrs_client.tasks import SRS_RULES, detect
from tests.support.messages_of_tasks import MESSAGES


@pytest.mark.parametrize(
    ("task", "message"), [(task, each) for task, all_ in MESSAGES.items() for each in all_]
)
def test_a_message_is_of_its_task(task: str, message: str) -> None:
    assert detect(SRS_RULES, message=message).task_type == task


@pytest.mark.parametrize(
    "message",
    [
        "description",
        "Give descriptions of the three main characters.",
        "Write a descriptive paragraph about a market.",
        "transcript",
        "Who speaks first in the transcript of the hearing?",
        "How do I end my subscription?",
        "Where is the manuscript kept?",
        "representation",
        "Why does representation matter in children's films?",
        "It was reported that nobody was hurt.",
        "Which programs for young farmers does the state offer?",
        "Design a training program for new waiters.",
        "What do the programmes on Sunday have in common?",
        "photosynthesis",
        "Describe the two stages of photosynthesis.",
        "newspaper",
        "I saw it in the newspaper.",
        "functionality",
        "Which functional groups does the molecule have?",
        "encoder",
        "What does a decoder do?",
        "dress code",
        "What is the dress code at the opera?",
        "Does the zip code matter?",
        "pilgrimage",
        "Where does the pilgrimage end?",
        "landslides",
        "How often do landslides happen there?",
        "Imagine a world without clocks.",
        "Write a movie script about a lighthouse keeper and his daughter.",
    ],
)
def test_what_misfired_once_is_general(message: str) -> None:
    assert detect(SRS_RULES, message=message).task_type == "general"


@pytest.mark.parametrize(
    ("message", "task", "alternative"),
    [
        ("Please review the code", "code", "analysis"),
        ("Make a presentation about Python", "slides", "code"),
        ("Translate this Python function to Java.", "code", "translation"),
        ("Summarize the report", "summarization", "document"),
    ],
)
def test_of_two_tasks_the_one_that_is_asked_for_goes_first(message: str, task: str, alternative: str) -> None:
    found = detect(SRS_RULES, message=message)
    assert found.task_type == task
    assert alternative in found.alternatives


def test_what_is_pasted_between_decides_little() -> None:
    pasted = "The committee shall report to the board in a paper of its own. " * 12
    assert detect(SRS_RULES, message=f"Fix the commas.\n\n{pasted}\n\nKeep the tone.").task_type == "general"
    code = "def add(a, b):\n    return a - b\n" * 20
    assert detect(SRS_RULES, message=f"Why is the sum wrong?\n\n{code}").task_type == "code"
