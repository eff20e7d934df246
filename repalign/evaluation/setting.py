"""Setting: who is evaluated, who judges, on what, and where answers are kept."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from repalign.answering import Local, Reply, Respondent, Settings, answers
from repalign.answering.asking import Titled, silent
from repalign.errors import InputError
from repalign.examples import Example, limited
from repalign.judges import Case, Judge, Rubric, Ruling, Words, agreement
from repalign.models import LanguageModel


@dataclass(frozen=True)
class Setting:
    """What a suite is given. Whatever it asks is kept in the folder, so a killed run goes on."""

    model: Respondent
    folder: Path
    before: Respondent | None = None
    """An earlier model, to compare with; None compares the model with itself."""
    judge: Judge = field(default_factory=Words)
    data: tuple[str, ...] = ()
    """Names and paths; empty takes the suite's own."""
    unknowable: tuple[str, ...] = ()
    """Names and paths of questions that nobody can answer; empty takes `invented`."""
    limit: int | None = None
    """Groups of items at most."""
    samples: int = 10
    """Answers to each question, where a suite samples."""
    seed: int = 0
    similarity: str | None = None
    """Hub id of a cross-encoder that says how alike two texts are; None compares words."""
    entailment: str | None = None
    """Hub id of a model of entailment; None compares words."""
    progress: Titled = silent
    """A context that shows how far something is; yields what is called with done and all."""

    def ask(
        self,
        prompts: Sequence[Example],
        what: str,
        settings: Settings | None = None,
        *,
        before: bool = False,
    ) -> list[list[Reply]]:
        """Ask the model, or the one before, and keep the answers as `what`."""
        who = self.before if before and self.before is not None else self.model
        name = f"{what}-before" if before and self.before is not None else what
        with self.progress(f"{what}: {who.name}") as progress:
            return answers(who, prompts, settings, keep=self._file(name), progress=progress)

    def rule(self, rubric: Rubric, cases: Sequence[Case], what: str) -> list[Ruling]:
        """Have the judge rule on cases, and keep what it said as `what`."""
        with self.progress(f"{what}: judged by {self.judge.name}") as progress:
            return self.judge.rules(
                rubric, cases, keep=self._file(f"{what}-judged"), progress=progress
            )

    def agreement(self, rubric: Rubric) -> dict[str, Any]:
        """How well the judge says what people said of labelled answers, as plain data."""
        with self.progress(f"{rubric.name}: judge against labels") as progress:
            found = agreement(
                self.judge, rubric, keep=self._file(f"labels-{rubric.name}"), progress=progress
            )
        return {"judge": self.judge.name, **found}

    def limited(self, examples: Sequence[Example]) -> list[Example]:
        """At most `limit` groups, the same ones in every run."""
        return list(examples) if self.limit is None else limited(examples, self.limit, self.seed)

    def local(self, suite: str) -> LanguageModel:
        """The model itself, for what reads states or probabilities.

        Raises:
            InputError: it runs behind a server.
        """
        if not isinstance(self.model, Local):
            raise InputError(
                f"The suite {suite} reads the model's states, which no server gives out. Load the "
                "model here: --model NAME without --server."
            )
        return self.model.model

    def _file(self, name: str) -> Path:
        return self.folder / "answers" / f"{name}.jsonl"
