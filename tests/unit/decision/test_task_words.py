"""The language of the entries of rules, and how what occurs is summed."""

from __future__ import annotations

import pytest

from imrs_client import task_words
from imrs_client.tasks import SRS_RULES, Rules, detect, merge

# So long that the rule for short messages says nothing.
REST = "before dinner guests arrive tomorrow evening"
FAR = " ".join(["word"] * 45)
END = " ".join(["word"] * 25)


def score(message: str, *entries: str) -> float:
    return task_words.lexicon({"x": entries}).scores(message).get("x", 0.0)


@pytest.mark.parametrize(
    ("entry", "message", "expected"),
    [
        ("invoice", "An INVOICE, please", 3),
        ("invoice", "invoices", 0),
        ("invoice^1.5", "the invoice", 1.5),
        ("-invoice^2", "the invoice", -2),
        ("-invoice", "the invoice", -3),
        ("roll back", "Roll-back", 3),
        ("roll back", "roll it back", 0),
        ("roll ... back", "roll it all the way back", 3),
        ("roll ... back", "roll one two three four five six back", 3),
        ("roll ... back", "roll one two three four five six seven back", 0),
        ("roll ... back", "We roll. Come back", 0),
        ("roll ... back", "We roll\nback", 0),
        ("roll|push back|out", "push out", 3),
        ("roll|push back|out", "roll", 0),
        ("a ... b ... c", "a x b b x c", 3),
        ("a ... b c", "a b x b c", 3),
        ("statut*", "the Statutes of 1920", 3),
        ("der statut*|gesetz* gilt", "das Gesetzbuch: der Gesetzestext gilt", 3),
        ("c++", "in C++, please", 3),
        ("c++", "in C, please", 0),
        ("node.js", "Node.js or node js", 3),
        ("résumé", "my RESUME", 3),
        ("resume", "my r\u00e9sum\u00e9", 3),
        ("don't", "we don\u2019t", 3),
        ("翻译", "请翻译这句话", 3),
        ("번역*", "이 문장을 번역해 주세요", 3),
        ("напиш*", "Напишите мне", 3),
        ("```", "see ```x```", 3),
        ("", "anything", 0),
        ("^2", "2", 0),
        ("...", "a b", 0),
        ("*", "a b", 0),
        ("-", "a - b", 0),
    ],
)
def test_what_an_entry_matches(entry: str, message: str, expected: float) -> None:
    assert score(f"{message} {REST}", entry) == expected


def test_an_entry_counts_once_and_further_ones_add_up() -> None:
    assert score(f"pear pear apple {REST}", "pear^1", "apple|pear^2", "-apple^0.5") == 2.5


def test_pasted_text_counts_a_quarter() -> None:
    assert score(f"pear {FAR} {END}", "pear") == 3
    assert score(f"{FAR} {END} pear", "pear") == 3
    assert score(f"{FAR} pear {END}", "pear") == 0.75
    assert score(f"{FAR} pear {END} pear", "pear") == 3


def test_of_a_long_message_the_beginning_and_the_end_are_read_and_no_word_is_cut() -> None:
    assert score("pear " * 5_000, "pear") == 3
    assert score("x " * 6_000 + "pear " + "x " * 6_000, "pear") == 0
    assert score("x" * 5_996 + " pearl" + "x" * 9_000, "pear") == 0
    assert score("x" * 90_000 + "pear", "pear") == 0
    assert score("x" * 90_000 + " pear", "pear^0.5") == 0.5


def test_a_short_message_is_its_word() -> None:
    assert score("Can you tell me about the pear?", "pear^1") == 3
    assert score("Pear?", "pear") == 5
    assert score("Can you tell me about the pear?", "pear^0.9") == 0.9
    assert score("What is a pear tree?", "pear^1", "-pear tree^0.5") == 0.5
    assert score("My aunt ate the pear", "pear^1") == 1


def test_the_lexicon_of_equal_rules_is_made_once() -> None:
    words = {"a": ("x",), "b": ("y",)}
    assert task_words.lexicon(words) is task_words.lexicon(words)
    assert task_words.lexicon(dict(reversed(words.items()))) is task_words.lexicon(words)


def test_words_of_a_tenant_replace_those_of_their_task_alone() -> None:
    rules = merge(Rules(words={"code": ("gizmo", "-toy gizmo")}), SRS_RULES)
    assert (
        detect(rules, message="Which gizmo would somebody from the north choose first?").task_type == "code"
    )
    assert detect(rules, message="Which toy gizmo would somebody choose first?").task_type == "general"
    assert detect(rules, message="python").task_type == "general"
    assert detect(rules, message="Summarize it").task_type == "summarization"


@pytest.mark.parametrize("task", SRS_RULES.words)
def test_no_built_in_entry_has_a_part_that_is_passed_over(task: str) -> None:
    for entry in SRS_RULES.words[task]:
        weightless = entry.removeprefix("-").partition("^")[0]
        for part in weightless.split():
            for each in part.split("|"):
                alone = score(f"{each.rstrip('*')} {REST}", each)
                assert alone == 3 or part == "...", (entry, each)
    assert len(set(SRS_RULES.words[task])) == len(SRS_RULES.words[task])


@pytest.mark.parametrize(
    "piece", ["x", "(", "write ", "write function ", "for i in range ", "代", "é", "\n", " ", "a|b*"]
)
def test_the_work_does_not_grow_with_what_somebody_pastes(piece: str) -> None:
    lexicon = task_words.lexicon(SRS_RULES.words)
    some, more = piece * 20_000, piece * 300_000
    assert len(task_words._split(more)) <= len(task_words._split(some)) + 1
    assert set(lexicon.scores(more)) == set(lexicon.scores(some))
