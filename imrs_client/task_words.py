"""What the words of a message say of its task: entries of rules as patterns, and sums of their weights.

An entry is a phrase. Its words match whole, in any case, with or without accents, whatever stands between
them. ``a|b`` is one word or the other, ``a*`` a word that begins so, `` ... `` up to six words of the same
sentence. It ends in its weight, ``^1.5``, or weighs 3; with a leading ``-`` it speaks against its task type.

An entry counts once: fully where it occurs among the first 45 or the last 25 words, where people say what
they want, and a quarter in between, where they paste. In a message of at most two words that say anything, a
sum of 1 or more counts 2 more. Of a long message the first 6,000 and the last 2,000 characters are read.
Nothing backtracks: the work grows with the message and no faster.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING
from unicodedata import normalize

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

DEFAULT_WEIGHT = 3.0

_FIRST_CHARACTERS, _LAST_CHARACTERS = 6_000, 2_000
_FIRST_WORDS, _LAST_WORDS = 45, 25
_ELSEWHERE = 0.25
_GAP_WORDS = 6
_MOST_HITS = 60
# Of a short message: all its words, and those that are not fillers.
_LONGEST_SHORT, _SHORT_WORDS = 12, 2
_SHORT_BONUS = 2.0

# Ends of sentences, and fences of code, as words.
_STOP, _FENCE = "\x02", "\x01"
_NOTHING = str.maketrans(
    {chr(each): " " for each in range(128) if not (chr(each).isalnum() or chr(each) in f"_+#{_STOP}{_FENCE}")}
)
# Letters of other scripts than Latin. Han and kana stand without spaces: each of their characters is a word.
_OTHER_SCRIPTS = re.compile("[\u0370-\u1dff\u2c00-\U0010ffff]")
_UNSPACED = "\u3040-\u30ff\u3400-\u9fff"
_OTHER_WORDS = re.compile(rf"[{_UNSPACED}{_STOP}{_FENCE}]|[^\W{_UNSPACED}]+[+#]*")
_OTHER_LATIN = re.compile("[\x80-\u036f\u1e00-\u2bff]+")
_WEIGHT = re.compile(r"\^([0-9]{1,3}(?:\.[0-9]{1,3})?)$")

_FILLERS = frozenset(
    f"""{_STOP}
    a about an and any are as at be but by can could did do does for from had has have hello help here
    hey hi how i if in is it its just kindly know let like m me my need now of on or our out please s
    should so some tell thank thanks that the them there these they this those to us want was we what
    when which will with would you your""".split()
)


@dataclass(frozen=True, slots=True)
class Step:
    """Words of which one must stand at most ``reach`` words from the step before."""

    words: frozenset[str]
    beginnings: tuple[str, ...]
    reach: int

    def has(self, word: str) -> bool:
        return word in self.words or (self.beginnings != () and word.startswith(self.beginnings))


@dataclass(frozen=True, slots=True, eq=False)
class Pattern:
    """An entry: its rarest words, and the steps from there to its beginning and to its end."""

    task: str
    weight: float
    rarest: Step
    before: tuple[Step, ...]
    after: tuple[Step, ...]
    alone: bool

    def fits(self, words: Sequence[str], number: int) -> bool:
        """Whether the pattern lies around the word of that number, which is one of its rarest."""
        return (not self.before or _reaches(words, number, self.before, -1)) and (
            not self.after or _reaches(words, number, self.after, 1)
        )


class Lexicon:
    """The words of all task types of some rules."""

    def __init__(self, words: Iterable[tuple[str, tuple[str, ...]]]) -> None:
        self._words: dict[str, tuple[Pattern, ...]] = {}
        self._beginnings: dict[str, tuple[Pattern, ...]] = {}
        for pattern in [_pattern(task, each) for task, entries in words for each in entries]:
            if pattern:
                for word in pattern.rarest.words:
                    self._words[word] = (*self._words.get(word, ()), pattern)
                for word in pattern.rarest.beginnings:
                    self._beginnings[word] = (*self._beginnings.get(word, ()), pattern)
        self._least = min(map(len, self._beginnings), default=0)
        self._starts: dict[str, tuple[str, ...]] = {}
        for word in self._beginnings:
            start = word[: self._least]
            self._starts[start] = (*self._starts.get(start, ()), word)
        self._latin_starts = any(map(str.isascii, self._beginnings))

    def scores(self, message: str) -> dict[str, float]:
        """Task type -> sum of weights, for those of which an entry occurs."""
        words = _split(message)
        found: dict[str, float] = {}
        for pattern, share in self._occurring(words).items():
            found[pattern.task] = found.get(pattern.task, 0.0) + pattern.weight * share
        if len(words) <= _LONGEST_SHORT and sum(each not in _FILLERS for each in words) <= _SHORT_WORDS:
            return {task: score + _SHORT_BONUS * (score >= 1) for task, score in found.items()}
        return found

    def _occurring(self, words: list[str]) -> dict[Pattern, float]:
        """The entries that occur, with how much of their weight counts."""
        meant = self._meant(words)
        hits = [hit for hit in enumerate(words) if hit[1] in meant] if meant else []
        if len(hits) > 2 * _MOST_HITS:
            hits = hits[:_MOST_HITS] + hits[-_MOST_HITS:]
        end = len(words) - _LAST_WORDS
        found: dict[Pattern, float] = {}
        for number, word in hits:
            share = 1.0 if number < _FIRST_WORDS or number >= end else _ELSEWHERE
            for pattern in meant[word]:
                if (pattern.alone or pattern.fits(words, number)) and found.get(pattern, 0.0) < share:
                    found[pattern] = share
        return found

    def _meant(self, words: Sequence[str]) -> dict[str, tuple[Pattern, ...]]:
        """The words under which entries are found, with these."""
        distinct = set(words)
        known = self._words
        found = {each: known[each] for each in known.keys() & distinct}
        if self._starts and (self._latin_starts or not "".join(words).isascii()):
            least, starts = self._least, self._starts
            for word in [each for each in distinct if each[:least] in starts]:
                for each in starts[word[:least]]:
                    if word.startswith(each):
                        found[word] = (*found.get(word, ()), *self._beginnings[each])
        return found


def lexicon(words: Mapping[str, tuple[str, ...]]) -> Lexicon:
    """The lexicon of ``Rules.words``, which must not change afterwards; that of equal words is the same."""
    known = _known.get(id(words))
    if known is not None and known[0] is words:
        return known[1]
    found = _lexicon(tuple(sorted((task, tuple(entries)) for task, entries in words.items())))
    if len(_known) >= _MOST_KNOWN:
        _known.clear()
    _known[id(words)] = words, found
    return found


_MOST_KNOWN = 512
# By identity, because to hash the words takes longer than to read a message. The mapping is kept with it, so
# that nothing else gets its id.
_known: dict[int, tuple[Mapping[str, tuple[str, ...]], Lexicon]] = {}


@lru_cache(maxsize=_MOST_KNOWN)
def _lexicon(words: tuple[tuple[str, tuple[str, ...]], ...]) -> Lexicon:
    return Lexicon(words)


def _pattern(task: str, entry: str) -> Pattern | None:
    """None for an entry without a word."""
    against = entry.startswith("-")
    body = entry.removeprefix("-")
    given = _WEIGHT.search(body)
    weight = float(given[1]) if given else DEFAULT_WEIGHT
    steps = _steps(body[: given.start()] if given else body)
    if not steps:
        return None
    # Fewer places to look at: rather "function" than "write", and hardly ever "the".
    rarest = min(range(len(steps)), key=lambda number: _frequency(steps[number]))
    # Walking back, a step is as far from the one after it as that one is from it.
    back = [replace(steps[n], reach=steps[n + 1].reach) for n in reversed(range(rarest))]
    after = tuple(steps[rarest + 1 :])
    return Pattern(
        task, -weight if against else weight, steps[rarest], tuple(back), after, alone=len(steps) == 1
    )


def _frequency(step: Step) -> tuple[bool, int]:
    return not step.words.isdisjoint(_FILLERS), len(step.words) + 10 * len(step.beginnings)


def _steps(body: str) -> list[Step]:
    steps: list[Step] = []
    reach = 1
    for part in body.split():
        if part == "...":
            reach = _GAP_WORDS + 1
            continue
        for alternatives in _alternatives(part):
            words = frozenset(each for each in alternatives if not each.endswith("*"))
            beginnings = tuple(sorted(each[:-1] for each in alternatives - words))
            steps.append(Step(words, beginnings, reach))
            reach = 1
    return steps


def _alternatives(part: str) -> list[frozenset[str]]:
    """One set for ``a|b``; as many as it has words for one like ``node.js``."""
    split = [_with_star(each) for each in part.split("|")]
    if len(split) == 1:
        return [frozenset([word]) for word in split[0]]
    single = frozenset(words[0] for words in split if len(words) == 1)
    return [single] if single else []


def _with_star(text: str) -> list[str]:
    words = _tokens(text)
    if words and text.endswith("*"):
        words[-1] += "*"
    return words


def _split(message: str) -> list[str]:
    if len(message) <= _FIRST_CHARACTERS + _LAST_CHARACTERS:
        return _tokens(message)
    # A word cut in two would be another word.
    first = _tokens(message[:_FIRST_CHARACTERS])[:-1]
    last = _tokens(message[-_LAST_CHARACTERS:])[1:]
    return [*first, _STOP, *last]


def _tokens(text: str) -> list[str]:
    folded = text.casefold()
    if not folded.isascii():
        folded = normalize("NFKD", folded.replace("\u2019", "'").replace("\u2014", " "))
        if _OTHER_SCRIPTS.search(folded):
            return _tokens_of_other_scripts(folded)
        folded = folded.encode("ascii", "ignore").decode("ascii")
    return _marked(folded).translate(_NOTHING).split()


def _tokens_of_other_scripts(folded: str) -> list[str]:
    latin = _OTHER_LATIN.sub("", folded) if _OTHER_LATIN.search(folded) else folded
    return _OTHER_WORDS.findall(_marked(latin).replace("\u3002", _STOP))


def _marked(folded: str) -> str:
    for mark in (". ", "? ", "! ", "\n"):
        folded = folded.replace(mark, f" {_STOP} ")
    return folded.replace("```", f" {_FENCE} ")


def _reaches(words: Sequence[str], number: int, steps: tuple[Step, ...], direction: int) -> bool:
    """Whether the steps follow from a word without crossing the end of a sentence."""
    first = steps[0]
    if first.reach == len(steps) == 1:
        at = number + direction
        return 0 <= at < len(words) and first.has(words[at])
    if not first.beginnings:
        # Most of the others fail here.
        around = (
            words[number + 1 : number + 1 + first.reach]
            if direction > 0
            else words[max(number - first.reach, 0) : number]
        )
        if first.words.isdisjoint(around):
            return False
    reached = {number}
    for step in steps:
        following: set[int] = set()
        for start in reached:
            for at in range(start + direction, start + direction * (step.reach + 1), direction):
                if not 0 <= at < len(words) or words[at] == _STOP:
                    break
                if step.has(words[at]):
                    following.add(at)
        if not following:
            return False
        reached = following
    return True
