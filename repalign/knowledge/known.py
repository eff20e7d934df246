"""Known: one question, how often it was answered rightly, and what the greedy answer was."""

from dataclasses import dataclass
from typing import Any

from scipy.stats import beta

from repalign.knowledge.asked import Asked
from repalign.metrics import Estimate
from repalign.verdicts import Verdict, verdict


@dataclass(frozen=True)
class Known:
    """The sampled answers to a question with their verdicts."""

    asked: Asked
    texts: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    greedy_text: str
    greedy: Verdict

    @classmethod
    def of(cls, asked: Asked, texts: tuple[str, ...], greedy_text: str) -> "Known":
        """Judge the answers by their words."""
        found = [verdict(text, asked.right, asked.words) for text in (*texts, greedy_text)]
        return cls(asked, texts, tuple(found[:-1]), greedy_text, found[-1])

    @property
    def expected_accuracy(self) -> Estimate:
        """The share of samples that are correct, with the exact (Clopper-Pearson) interval."""
        right, n = sum(one.kind == "correct" for one in self.verdicts), len(self.verdicts)
        low = float(beta.ppf(0.025, right, n - right + 1)) if right else 0.0
        high = float(beta.ppf(0.975, right + 1, n - right)) if right < n else 1.0
        return Estimate(right / n, low, high, n)

    def is_known(self, tau: float) -> bool:
        """Whether the expected accuracy is at least tau."""
        return self.expected_accuracy.value >= tau

    def is_sure(self, tau: float) -> bool:
        """Whether the interval lies on one side of tau; what nobody can know is sure."""
        found = self.expected_accuracy
        return self.asked.right is None or found.low >= tau or found.high < tau

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "question": self.asked.words,
            "group": self.asked.prompt.group,
            "right": None if self.asked.right is None else list(self.asked.right),
            "expected_accuracy": self.expected_accuracy.to_json(),
            "greedy": {"text": self.greedy_text, "verdict": self.greedy.kind},
            "samples": [
                {"text": text, "verdict": one.kind}
                for text, one in zip(self.texts, self.verdicts, strict=True)
            ],
        }
