"""KnowledgeAware: a reward for knowing, and for saying so where one does not."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from repalign.errors import InputError
from repalign.training.rewards.completions import accepted, asked, column, said
from repalign.verdicts import verdict


@dataclass(frozen=True)
class KnowledgeAware:
    """Rewards an answer by whether it is right, and by whether the model could have known.

    | answer | question known | question unknown |
    |---|---|---|
    | correct | `correct` | `correct` |
    | "I don't know" | `idk_known` | `idk_unknown` |
    | wrong | `wrong` | `wrong` |
    | empty | `empty` | `empty` |

    The table is our own, in the spirit of Alignment for Honesty (arXiv 2312.07000), which has no
    reward but trains on sampled answers. Verdicts are by words (`repalign.verdicts`); long answers
    that name many things are over-credited. With `idk_known` at 0 an answer pays where it is right
    in more than half of the cases.

    Columns of the data: `answers`, the accepted texts (none where nobody can know, so that the
    question is unknown whatever `known` says), and `known`, 1 or 0, such as
    `repalign.knowledge` finds it.

    Example:
        >>> reward = KnowledgeAware()
        >>> reward(["Capital of France?"] * 2, ["Paris.", "I don't know."],
        ...        answers=[["Paris"]] * 2, known=[1, 1])
        [1.0, 0.0]
    """

    correct: float = 1.0
    idk_unknown: float = 1.0
    idk_known: float = 0.0
    wrong: float = -1.0
    empty: float = -1.0
    """Nothing said, or nothing but a thought."""
    name: str = "knowledge_aware"
    """What logs call it: `rewards/<name>/mean`."""

    def __post_init__(self) -> None:
        """Refuse a table that rewards what it is against."""
        if not (
            self.wrong <= self.idk_known < self.correct
            and self.wrong < self.idk_unknown
            and self.empty < self.correct
        ):
            raise InputError(
                "A knowledge-aware reward pays wrong ≤ idk_known < correct, wrong < idk_unknown "
                f"and empty < correct; given: correct {self.correct}, idk_unknown "
                f"{self.idk_unknown}, idk_known {self.idk_known}, wrong {self.wrong}, empty "
                f"{self.empty}."
            )

    @property
    def __name__(self) -> str:
        """What TRL logs it as."""
        return self.name

    def __call__(
        self, prompts: Sequence[Any], completions: Sequence[Any], **columns: Any
    ) -> list[float | None]:
        """A reward for each completion, as TRL asks for them.

        Raises:
            InputError: a column is missing, or holds something else than it should.
        """
        answers = column(columns, "answers", self.name)
        known = column(columns, "known", self.name)
        rows = zip(prompts, completions, answers, known, strict=True)
        return [self._one(*row) for row in rows]

    def _one(self, prompt: Any, completion: Any, answers: Any, known: Any) -> float:
        right = accepted(answers, self.name)
        if right is not None and known not in (0, 1):
            raise InputError(
                f"The column 'known' that the reward {self.name} reads holds {known!r}; give 1 "
                "where the model knows the answer and 0 where it does not."
            )
        kind = verdict(said(completion), right, asked(prompt)).kind
        if kind == "idk":
            return self.idk_known if right is not None and known else self.idk_unknown
        return {"correct": self.correct, "wrong": self.wrong, "empty": self.empty}[kind]

    def record(self) -> dict[str, Any]:
        """Its settings as a record keeps them."""
        return {"reward": type(self).__name__, **asdict(self)}
