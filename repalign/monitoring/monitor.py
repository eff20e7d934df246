"""Monitor: a model and a probe, watched token by token."""

import math
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from repalign import checks
from repalign.activations import Progress, readable
from repalign.errors import InputError
from repalign.examples import Example
from repalign.models import LanguageModel
from repalign.monitoring import generating, given, writing
from repalign.monitoring.aggregating import Aggregate
from repalign.monitoring.calibrating import Calibration
from repalign.monitoring.prompts import Prompt, as_example, is_given, rendered
from repalign.monitoring.recording import Recorder, Step
from repalign.monitoring.watched import TokenScore, Watched
from repalign.readouts import Readout
from repalign.spans import Span

_WRITTEN = ("answer", "assistant")
"""Spans that a model writes itself."""


@dataclass(frozen=True, eq=False)
class Monitor:
    """Scores every token that a model writes, and every answer; higher is honest.

    It reads what interventions wrote, where some are open. An answer is flagged when the aggregate
    of its tokens lies strictly below `threshold`. A threshold holds for one span and one aggregate:
    set it with `calibrate`.

    Example:
        >>> def watch(model, run):
        ...     monitor = Monitor.load(model, run).calibrate(datasets.load("benign"), fpr=0.01)
        ...     for token in monitor.stream("Is Paris in France?"):
        ...         print(token.text, token.score, token.probability)
    """

    model: LanguageModel
    readout: Readout
    threshold: float | None = None
    aggregate: "str | Aggregate" = "mean"
    """How the scores of an answer's tokens become one: `mean`, `max`, `top-5`, `rolling-8`."""
    span: "str | Span" = "answer"
    """The tokens that count: `answer`, or `assistant` to count thoughts too. Given texts may be
    scored over any span."""
    calibration: Calibration | None = None
    """What the threshold rests on, where `calibrate` set it."""

    def __post_init__(self) -> None:
        """Refuse another model's probe, and a threshold that was set for something else."""
        aggregate, span = self.aggregate, self.span
        if isinstance(aggregate, str):
            object.__setattr__(self, "aggregate", Aggregate.parse(aggregate))
        if isinstance(span, str):
            object.__setattr__(self, "span", Span.parse(span))
        self.readout.check_model(self.model)
        if self.threshold is None:
            return
        if not math.isfinite(self.threshold):
            raise InputError(f"A threshold is a finite number; {self.threshold} was given.")
        if self.calibration is not None:
            self.calibration.check(self.threshold, str(self.aggregate), str(self.span))
        elif self.threshold == self.readout.threshold and not self._shared_with_readout:
            raise InputError(
                f"The probe's own threshold {self.threshold:g} is for the mean over span "
                f"'{self.readout.span}', not for the {self.aggregate} over span '{self.span}'. "
                "Set one with calibrate()."
            )

    @classmethod
    def load(
        cls,
        model: LanguageModel,
        folder: Path | str,
        aggregate: "str | Aggregate" = "mean",
        span: "str | Span" = "answer",
    ) -> "Monitor":
        """Make a monitor of the probe that `repalign probe` saved.

        The probe's own threshold is taken where it is one for this span and aggregate.

        Raises:
            InputError: no probe there, or one of another model.
        """
        monitor = cls(model, Readout.load(folder), None, aggregate, span)
        if monitor._shared_with_readout:
            return replace(monitor, threshold=monitor.readout.threshold)
        return monitor

    def calibrate(
        self,
        benign: Iterable[Prompt],
        fpr: float = 0.01,
        *,
        batch_size: int = 16,
        progress: Progress | None = None,
        **options: Any,
    ) -> "Monitor":
        """Set the threshold on answers that nobody should flag.

        Args:
            benign: conversations; those without an answer are answered by the model, which is
                closer to what will be watched than answers of others are.
            fpr: the share of them that may be flagged; ties never push it above.
            batch_size: answers written at once.
            progress: called with the answers written and their number.
            options: of `generate`, for answers that are to be written.

        Returns:
            A monitor with the threshold, and with its `calibration`.

        Raises:
            InputError: no answers with words, or a rate outside 0 to 1.
        """
        examples = [as_example(one) for one in benign]
        bare = replace(self, threshold=None, calibration=None)
        watched = bare.watch(examples, batch_size=batch_size, progress=progress, **options)
        asked = sum(not is_given(one) for one in examples)
        found = Calibration.of(watched, fpr, str(self.span), str(self.aggregate), asked)
        return replace(self, threshold=found.threshold, calibration=found)

    def watch(
        self,
        prompts: Iterable[Prompt],
        *,
        probabilities: bool = False,
        batch_size: int = 16,
        progress: Progress | None = None,
        **options: Any,
    ) -> list[Watched]:
        """Score the answers that are there, and have those written that are missing; in order.

        Arguments and errors are those of `score` and `generate`.
        """
        examples = [as_example(one) for one in prompts]
        there = {i: one for i, one in enumerate(examples) if is_given(one)}
        asked = {i: one for i, one in enumerate(examples) if i not in there}
        found: dict[int, Watched] = {}
        if there:
            scored = self.score(there.values(), probabilities=probabilities, progress=progress)
            found |= zip(there, scored, strict=True)
        if asked:
            rows = list(asked.values())
            answers = self.generate(rows, batch_size=batch_size, progress=progress, **options)
            found |= zip(asked, answers, strict=True)
        return [found[i] for i in range(len(examples))]

    @property
    def token_threshold(self) -> float:
        """The score below which a token is rarer than the calibration's `fpr` in benign answers.

        It is the threshold that `interventions.Conditional` takes.

        Raises:
            InputError: the monitor was not calibrated.
        """
        if self.calibration is None:
            raise InputError("A threshold for single tokens is set by calibrate(); call it first.")
        return self.calibration.token_threshold

    def score(
        self,
        examples: Iterable[Example],
        *,
        probabilities: bool = False,
        progress: Progress | None = None,
    ) -> list[Watched]:
        """Score texts that are there already, each token of the span.

        Args:
            examples: conversations with an answer, or plain texts for a span that they have.
            probabilities: also read what the model gave each token, which takes whole passes.
            progress: called after each pass.

        Returns:
            One for each example, in order.

        Raises:
            InputError: a text without tokens in the span, or longer than the model's context.
        """
        rows = list(examples)
        readings = readable(self.model, rows, self._span)
        scores = given.scores_of(self.model, self.readout, rows, self._span, progress)
        return [
            self.judge(given.tokens_of(self.model, reading, values, probabilities=probabilities))
            for reading, values in zip(readings, scores, strict=True)
        ]

    def stream(self, prompt: Prompt, **options: Any) -> Generator[TokenScore, None, None]:
        """Answer a prompt, and hand over every token with its score as soon as it has one.

        A token's score is read at its own position, so in the pass after the one that chose it:
        tokens come one step late, and the last one costs a pass more. Interventions that are open
        are read. Closing the generator stops the generation.

        Args:
            prompt: words of a user, messages, or an example without an answer.
            options: of `generate`, such as `max_new_tokens` (64), `temperature`, `top_p`; greedy
                unless one of sampling is given. `seed` seeds torch.

        Yields:
            Every token, that which ends the answer too. `judge` sums them up.

        Raises:
            InputError: a prompt that cannot be answered, or options that cannot be watched.
            CheckError: a token was generated whose pass the hooks did not see.
        """
        chosen = self._options(options)
        (reading,) = rendered(self.model, [prompt], generating.new_tokens(chosen))
        return writing.streamed(
            self.model, self.readout, reading, chosen, thoughts=self._span.name == "assistant"
        )

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        batch_size: int = 16,
        progress: Progress | None = None,
        **options: Any,
    ) -> list[Watched]:
        """Answer prompts, several at once, and score every token of the answers.

        Args:
            prompts: as `stream` takes them.
            batch_size: how many at once, padded on the left.
            progress: called after each answer.
            options: as `stream` takes them; errors are those of `stream`.

        Returns:
            One for each prompt, in order.
        """
        chosen = self._options(options)
        readings = rendered(self.model, prompts, generating.new_tokens(chosen))
        thoughts = self._span.name == "assistant"
        watched: list[Watched] = []
        for tokens in writing.written(
            self.model, self.readout, readings, chosen, thoughts=thoughts, batch_size=batch_size
        ):
            watched.append(self.judge(tokens))
            if progress is not None:
                progress(len(watched), len(readings))
        return watched

    @contextmanager
    def watching(self) -> Generator[list[Step], None, None]:
        """Read one generation that somebody else makes while the context is open.

        For pipelines and decoding loops of others. Yields a list that fills up as tokens are fed:
        the token chosen last is not, and has no score.
        """
        checks.ensure(self.model, self.readout.sites)
        recorder = Recorder(self.model, self.readout)
        with recorder.watching():
            yield recorder.steps

    def refuse_unreadable(self, prompt: Prompt, new_tokens: int) -> None:
        """Raise what `watch` would raise of a prompt, without running the model."""
        example = as_example(prompt)
        if is_given(example):
            readable(self.model, [example], self._span)
        else:
            rendered(self.model, [example], new_tokens)

    def judge(self, tokens: Sequence[TokenScore]) -> Watched:
        """Sum up the tokens of an answer, such as those that `stream` gave."""
        return Watched.of(tokens, Aggregate.parse(str(self.aggregate)), self.threshold)

    def record(self) -> dict[str, Any]:
        """What it does, as plain data for a run."""
        return {
            "sites": [str(site) for site in self.readout.sites],
            "span": str(self.span),
            "aggregate": str(self.aggregate),
            "threshold": self.threshold,
            "calibration": None if self.calibration is None else self.calibration.record(),
        }

    @property
    def _span(self) -> Span:
        return Span.parse(self.span) if isinstance(self.span, str) else self.span

    @property
    def _shared_with_readout(self) -> bool:
        """Whether the readout's own threshold, for means over its span, is one for this."""
        return str(self.aggregate) == "mean" and str(self.span) == str(self.readout.span)

    def _options(self, options: dict[str, Any]) -> dict[str, Any]:
        if self._span.name not in _WRITTEN:
            raise InputError(
                f"This monitor reads span '{self.span}', and a model that generates writes an "
                f"answer: make one with span {' or '.join(map(repr, _WRITTEN))}."
            )
        checks.ensure(self.model, self.readout.sites)
        return generating.watchable(self.model, options)
