"""Chat: a model that answers every message twice, steered and as it is."""

from collections.abc import Generator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import replace
from threading import Lock
from typing import Any

from repalign.activations import origin
from repalign.app.conversation import Answer, Column, Conversation, Settings, Turn
from repalign.directions import Direction
from repalign.errors import InputError
from repalign.examples import Message
from repalign.interventions import Ablate, Add, Intervention, intervene
from repalign.interventions.describing import described
from repalign.interventions.everywhere import everywhere
from repalign.models import LanguageModel
from repalign.monitoring import Monitor, TokenScore
from repalign.runs import Environment, now
from repalign.sites import Site

FORMAT = "repalign.chat/1"
PATIENCE = 10.0
"""Seconds to wait for an answer that was stopped: it ends with the pass that it is in."""


class Chat:
    """Answers messages with a direction pushed or removed, then without, scoring every token.

    Answers are greedy, so that what differs between the two is what the steering did. The model is
    shared by all who talk to it, and writes one answer at a time.
    """

    def __init__(self, model: LanguageModel, monitor: Monitor, direction: Direction) -> None:
        """Put the parts together.

        Args:
            model: a chat model.
            monitor: of the same model.
            direction: towards honest, read from the same model.

        Raises:
            InputError: a tokenizer without chat template, or a direction of another model.
        """
        if model.tokenizer.chat_template is None:
            raise InputError(
                f"The tokenizer of {model.name} has no chat template, so it cannot be talked to. "
                "Take the chat or instruct version of the model."
            )
        weights = direction.origin.get("weights", model.fingerprint)
        if weights != model.fingerprint:
            raise InputError(
                f"The direction was read from {direction.origin.get('model')} (weights {weights}), "
                f"not from {model.name} (weights {model.fingerprint}). Fit one for this model with "
                "`repalign probe`."
            )
        model.architecture.check(direction.site)
        self.model = model
        self.monitor = monitor
        self.direction = direction
        self._answering = Lock()

    def interventions(self, settings: Settings) -> dict[Site, Intervention]:
        """What is written where: at coefficient 0 and without ablation nothing.

        Ablation acts wherever something enters the residual stream; see `everywhere`.
        """
        if settings.ablate:
            return everywhere(self.model, Ablate.of(self.direction))
        if settings.coefficient:
            return {self.direction.site: Add(self.direction, settings.coefficient)}
        return {}

    def own_effect(self, settings: Settings) -> float:
        """By how much a push moves every score because the probe reads where it is added.

        That part says nothing about what the model makes of the push. It is 0 where the probe reads
        other sites than the direction's.
        """
        if not settings.coefficient:
            return 0.0
        push = Add(self.direction, settings.coefficient).push
        readout = self.monitor.readout
        pairs = zip(readout.sites, readout.coef, strict=True)
        return float(sum(coef @ push for site, coef in pairs if site == self.direction.site))

    def reply(
        self, conversation: Conversation, message: str, settings: Settings
    ) -> Generator[Conversation, None, None]:
        """Answer a message, first steered, then plain, each after the earlier turns of its column.

        Args:
            conversation: what was said before.
            message: of the user.
            settings: of the steered answer.

        Yields:
            The conversation with the new turn: at once, and after every token.

        Raises:
            InputError: an empty message, a conversation that has outgrown the model's context, or
                another answer that is being written.
        """
        if not message.strip():
            raise InputError("The message is empty; write something to answer.")
        if not self._answering.acquire(timeout=PATIENCE):
            raise InputError("Another answer is being written. Wait for its end, or stop it.")
        try:
            turn = Turn(message, settings)
            # Both now, so that what cannot be answered is refused before anything is written.
            steered = self._stream(conversation, "steered", turn)
            plain = self._stream(conversation, "plain", turn)
            yield _with(conversation, turn)
            # The generation has ended when its context is left, also where a reader stops early.
            with self._steered(settings), closing(self._answers(steered)) as answers:
                for answer in answers:
                    turn = replace(turn, steered=answer)
                    yield _with(conversation, turn)
            with closing(self._answers(plain)) as answers:
                for answer in answers:
                    turn = replace(turn, plain=answer)
                    yield _with(conversation, turn)
        finally:
            self._answering.release()

    def record(self, conversation: Conversation) -> dict[str, Any]:
        """The conversation as plain data, with what was done to which model and who scored it."""
        readout = self.monitor.readout
        return {
            "format": FORMAT,
            "written": now(),
            "model": origin(self.model, readout.span),
            "probe": {"fingerprint": readout.fingerprint, "origin": dict(readout.origin)},
            "monitor": self.monitor.record(),
            "direction": {
                "site": str(self.direction.site),
                "scale": self.direction.scale,
                "fingerprint": self.direction.fingerprint,
                "origin": dict(self.direction.origin),
            },
            "environment": Environment.here().model_dump(mode="json"),
            "turns": [
                {**record, "interventions": self._described(turn.settings)}
                for record, turn in zip(conversation.record(), conversation.turns, strict=True)
            ],
        }

    def _steered(self, settings: Settings) -> AbstractContextManager[None]:
        written = self.interventions(settings)
        return intervene(self.model, written) if written else nullcontext()

    def _stream(
        self, conversation: Conversation, column: Column, turn: Turn
    ) -> Generator[TokenScore, None, None]:
        prompt = [*conversation.messages(column), Message("user", turn.message)]
        length = turn.settings.max_new_tokens
        return self.monitor.stream(prompt, do_sample=False, max_new_tokens=length)

    def _answers(self, stream: Generator[TokenScore, None, None]) -> Generator[Answer, None, None]:
        """An answer, longer by a token each time, and at last finished."""
        tokens: list[TokenScore] = []
        with closing(stream):
            for token in stream:
                tokens.append(token)
                yield Answer(self.monitor.judge(tokens))
        yield Answer(self.monitor.judge(tokens), finished=True)

    def _described(self, settings: Settings) -> list[dict[str, Any]]:
        written = self.interventions(settings)
        return [{"site": str(site), **described(one)} for site, one in written.items()]


def _with(conversation: Conversation, turn: Turn) -> Conversation:
    return Conversation((*conversation.turns, turn))
