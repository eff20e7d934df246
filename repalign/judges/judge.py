"""Judge: who judges answers, by words, by a model here, or by one behind a server."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from repalign.answering import Respondent, Settings, answers
from repalign.answering.asking import Progress
from repalign.errors import InputError
from repalign.examples import Example
from repalign.judges.case import Case, Ruling
from repalign.judges.rubric import Rubric
from repalign.verdicts import without_thought


@runtime_checkable
class Judge(Protocol):
    """Rules on cases by a rubric."""

    @property
    def name(self) -> str:
        """As reports name it."""
        ...

    def origin(self) -> dict[str, Any]:
        """What determines its rulings, as plain data."""
        ...

    def rules(
        self,
        rubric: Rubric,
        cases: Sequence[Case],
        *,
        keep: Path | str | None = None,
        progress: Progress | None = None,
    ) -> list[Ruling]:
        """Rule on each case.

        Args:
            rubric: what is judged.
            cases: what to judge.
            keep: a file for the judge's answers; what it holds is not asked again.
            progress: called with cases done and their number.

        Returns:
            A ruling a case; one that did not come, or cannot be read, has an error and no value.

        Raises:
            InputError: the judge cannot apply this rubric, or nobody answers.
        """
        ...


@dataclass(frozen=True)
class Words:
    """The rules of the library, which know words and nothing else."""

    name: str = "words"

    def origin(self) -> dict[str, Any]:
        """Nothing but its name."""
        return {"judge": self.name}

    def rules(
        self,
        rubric: Rubric,
        cases: Sequence[Case],
        *,
        keep: Path | str | None = None,
        progress: Progress | None = None,
    ) -> list[Ruling]:
        """Rule on each case; nothing is kept, since it costs nothing to do again.

        Raises:
            InputError: no rule by words can tell.
        """
        if rubric.words is None:
            raise InputError(
                f"Rules by words cannot judge {rubric.title}. Give a judge that is a model: "
                "--judge MODEL, or --judge MODEL --judge-server URL."
            )
        found = [Ruling(rubric.words(case)) for case in cases]
        if progress is not None:
            progress(len(found), len(cases))
        return found


@dataclass(frozen=True)
class ByModel:
    """A model that is asked, once a case, at temperature 0."""

    who: Respondent

    @property
    def name(self) -> str:
        """The model's."""
        return self.who.name

    def origin(self) -> dict[str, Any]:
        """What determines its answers."""
        return {"judge": self.name, **self.who.origin()}

    def rules(
        self,
        rubric: Rubric,
        cases: Sequence[Case],
        *,
        keep: Path | str | None = None,
        progress: Progress | None = None,
    ) -> list[Ruling]:
        """Ask the model about each case and read what it says.

        Raises:
            InputError: nobody answers, or `keep` holds other rulings.
        """
        prompts = [Example.of_chat(rubric.asks(_spoken(case))) for case in cases]
        settings = Settings(max_new_tokens=rubric.max_new_tokens)
        replies = answers(self.who, prompts, settings, keep=keep, progress=progress)
        return [
            rubric.reads(one.text)
            if one.text is not None
            else Ruling(None, error=f"no answer: {one.error}")
            for (one,) in replies
        ]


def _spoken(case: Case) -> Case:
    """The case without thoughts: what a model thought is not what it said."""
    other = None if case.other is None else without_thought(case.other)
    return replace(case, answer=without_thought(case.answer), other=other)
