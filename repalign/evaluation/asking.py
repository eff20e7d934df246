"""Questions of a suite: where they are from, and what was answered, judged by words."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from repalign.answering import Reply, Settings
from repalign.errors import InputError
from repalign.evaluation.setting import Setting
from repalign.examples import Example
from repalign.knowledge import Asked, asked
from repalign.verdicts import Verdict, verdict

OWN = ("country_capitals", "cities")
"""Asked where no data is given."""
LONGEST = 32
"""Tokens of a short answer."""


@dataclass(frozen=True)
class Answered:
    """A question, where it is from, and what was answered."""

    asked: Asked
    source: str
    reply: Reply
    verdict: Verdict | None
    """None where no answer came."""

    @property
    def id(self) -> str:
        """Its words: the same question has the same id in every run."""
        return f"{self.source}: {self.asked.words}"


def questions(setting: Setting, own: Sequence[str] = OWN) -> list[tuple[str, Asked]]:
    """The questions of the data given, or of the suite's own, with the name of their source.

    A limit holds for each source by itself, and keeps the same questions in every run.

    Raises:
        InputError: as `knowledge.asked`; one question in two sources.
    """
    found: dict[str, tuple[str, Asked]] = {}
    for source in setting.data or own:
        for one in _kept(setting, asked(source)):
            if one.words in found:
                raise InputError(
                    f"The question {one.words[:60]!r} is in {found[one.words][0]} and in {source}. "
                    "Give one of them."
                )
            # A file's name without its folder: two runs pair wherever it lies.
            found[one.words] = (Path(source).stem, one)
    return list(found.values())


def unknowable(setting: Setting) -> list[tuple[str, Asked]]:
    """Questions that nobody can answer: the user's, or `invented`."""
    return [
        (Path(source).stem, one)
        for source in setting.unknowable or ("invented",)
        for one in _kept(setting, asked(source, knowable=False))
    ]


def requests(setting: Setting) -> list[Example]:
    """Ordinary requests, which have no right answer: the user's, or those of `benign`."""
    return [
        one.prompt
        for source in setting.data or ("benign",)
        for one in _kept(setting, asked(source, knowable=False))
    ]


def answered(
    setting: Setting,
    questions: Sequence[tuple[str, Asked]],
    what: str,
    settings: Settings | None = None,
    *,
    before: bool = False,
) -> list[Answered]:
    """Ask each question once, and judge the answers by their words."""
    settings = settings or Settings(max_new_tokens=LONGEST)
    replies = setting.ask([one.prompt for _, one in questions], what, settings, before=before)
    return [
        Answered(
            one,
            source,
            reply,
            None if reply.text is None else verdict(reply.text, one.right, one.words),
        )
        for (source, one), (reply,) in zip(questions, replies, strict=True)
    ]


def _kept(setting: Setting, all_of_them: list[Asked]) -> list[Asked]:
    kept = {id(prompt) for prompt in setting.limited([one.prompt for one in all_of_them])}
    return [one for one in all_of_them if id(one.prompt) in kept]
