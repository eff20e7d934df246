"""Provider: models of repalign for Inspect, written to and watched where that is wanted."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from anyio import to_thread
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    GenerateConfig,
    ModelAPI,
    ModelOutput,
    ModelUsage,
)
from inspect_ai.tool import ToolChoice, ToolInfo

from repalign import datasets
from repalign.errors import InputError, unknown
from repalign.examples import Example, Message
from repalign.inspecting.batching import Batches
from repalign.inspecting.refusing import plainly
from repalign.inspecting.writes import Writes
from repalign.inspecting.written import Writer, Written
from repalign.models import LanguageModel
from repalign.monitoring import Aggregate, Monitor
from repalign.monitoring.generating import NEW_TOKENS

_LOADING = ("dtype", "device", "device_map", "revision", "trust_remote_code", "allow_failed")
_OWN = ("intervention", "coefficient", "where", "probe", "aggregate", "threshold", "fpr")
# Options of Inspect that change answers and that are not met here.
_NOT_MET = (
    "stop_seqs",
    "best_of",
    "frequency_penalty",
    "presence_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "prompt_logprobs",
    "response_schema",
)
_PLACES = 4
"""Decimals of the scores of tokens in logs."""


class _Request(NamedTuple):
    prompt: Example
    options: dict[str, Any]


class RepalignAPI(ModelAPI):
    """`repalign/NAME`: whatever `LanguageModel.load` takes, such as `repalign/smollm2`.

    Answers are greedy unless a temperature above 0 is given, and 64 tokens long at most unless
    `--max-tokens` says otherwise. Requests that come together are answered together, which can
    change the last bits of the logits: `-M batch_size=1` answers each alone.

    What was written and what the probe says is in the metadata of each output, under `repalign`.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: B008 (as Inspect declares it)
        batch_size: int = 16,
        **options: Any,
    ) -> None:
        """Load the model, and what is to be written to it and to watch it.

        Args:
            model_name: without `repalign/`.
            base_url: not used; there is no server.
            api_key: not used.
            config: what Inspect was told of generation.
            batch_size: answers written at once.
            options: of `LanguageModel.load`; `intervention` and `coefficient` as `Writes.read`
                takes them, and `where` as `intervene`; `probe`, the folder of a `repalign probe`
                run, `aggregate` as `Monitor` takes it, and a `threshold`, or `fpr` to calibrate
                one on benign chats, which are read without the intervention.

        Raises:
            RefusedError: a model, an intervention or a probe that cannot be had, or an option that
                does not exist.
        """
        super().__init__(model_name, base_url, api_key, [], config)
        with plainly():
            for name in options:
                if name not in (*_LOADING, *_OWN):
                    raise unknown("option -M", name, (*_LOADING, *_OWN, "batch_size"))
            _refuse_useless(options)
            if batch_size < 1:
                raise InputError(f"batch_size is 1 or more; {batch_size} was given.")
            self.writer = _writer(model_name, options)
        self.batch_size = batch_size
        self.weights = self.writer.model.fingerprint
        self._batches = Batches[_Request, Written](self._answer, batch_size)
        # Inspect's cache tells models apart by name and address alone: without this, answers
        # without an intervention would be taken for those with it.
        self.base_url = f"repalign:{self._mark()}"

    async def generate(
        self,
        input: list[ChatMessage],
        tools: list[ToolInfo],
        tool_choice: ToolChoice,
        config: GenerateConfig,
    ) -> ModelOutput:
        """Answer a conversation.

        Raises:
            RefusedError: tools, or options of generation that are not met here.
        """
        with plainly():
            if tools:
                raise InputError("Models of repalign call no tools; run a task without them.")
            request = _Request(_example(input), _options(config))
            # A seed belongs to one answer: in a batch others would use up its random numbers.
            kind = None if "seed" in request.options else tuple(sorted(request.options.items()))
            ask = partial(self._batches.ask, request, kind)
            return self._output(await to_thread.run_sync(ask))

    async def count_text_tokens(self, text: str) -> int:
        """Count with the model's own tokenizer."""
        return len(self.writer.model.tokenizer.encode(text, add_special_tokens=False))

    def max_tokens(self) -> int | None:
        """Of an answer, where nothing else is asked for."""
        return NEW_TOKENS

    def max_connections(self) -> int:
        """As many as are answered at once."""
        return self.batch_size

    def _answer(self, requests: Sequence[_Request]) -> list[Written]:
        return self.writer.write([one.prompt for one in requests], requests[0].options)

    def _output(self, written: Written) -> ModelOutput:
        message = ChatMessageAssistant(
            content=written.text, model=self.model_name, source="generate"
        )
        return ModelOutput(
            model=self.model_name,
            choices=[
                ChatCompletionChoice(
                    message=message, stop_reason="stop" if written.ended else "max_tokens"
                )
            ],
            usage=ModelUsage(
                input_tokens=written.prompt,
                output_tokens=written.tokens,
                total_tokens=written.prompt + written.tokens,
            ),
            metadata={"repalign": {**self._about(), **self._seen(written)}},
        )

    def _about(self) -> dict[str, Any]:
        about: dict[str, Any] = {"weights": self.weights}
        if self.writer.writes is not None:
            about["where"] = self.writer.where
            about["interventions"] = [dict(one) for one in self.writer.writes.record]
        return about

    def _seen(self, written: Written) -> dict[str, Any]:
        """What the probe says, as numbers: of the answer, and of each token that counts."""
        monitor, watched = self.writer.monitor, written.watched
        if monitor is None or watched is None:
            return {}
        counted = [token for token in watched.tokens if token.counted]
        return {
            "monitor": {
                "probe": monitor.readout.fingerprint,
                "aggregate": str(monitor.aggregate),
                "score": watched.score,
                "threshold": monitor.threshold,
                "flagged": watched.flagged,
                "tokens": [token.text for token in counted],
                "scores": [round(token.score, _PLACES) for token in counted],
            }
        }

    def _mark(self) -> str:
        """A short hash of everything that determines answers and their metadata."""
        monitor = self.writer.monitor
        watching = None if monitor is None else [monitor.readout.fingerprint, monitor.record()]
        said = json.dumps([self._about(), watching], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()[:12]


def _writer(name: str, options: Mapping[str, Any]) -> Writer:
    loading = {key: options[key] for key in _LOADING if key in options}
    if isinstance(loading.get("allow_failed"), str):
        loading["allow_failed"] = [loading["allow_failed"]]
    model = LanguageModel.load(name, **loading)
    writes, monitor = None, None
    if "intervention" in options:
        given = options.get("coefficient")
        coefficient = None if given is None else _number("coefficient", given)
        writes = Writes.read(str(options["intervention"]), model, coefficient)
    if "probe" in options:
        aggregate = Aggregate.parse(str(options.get("aggregate", "mean")))
        monitor = Monitor.load(model, str(options["probe"]), aggregate)
        if "threshold" in options:
            threshold = _number("threshold", options["threshold"])
            monitor = Monitor(model, monitor.readout, threshold, aggregate)
        if "fpr" in options:
            benign = datasets.load("benign", require_labels=False)
            monitor = monitor.calibrate(benign, _number("fpr", options["fpr"]))
    return Writer(model, writes, str(options.get("where", "all")), monitor)


def _refuse_useless(options: Mapping[str, Any]) -> None:
    """Refuse options that would do nothing, or undo each other."""
    for needed, names in {
        "intervention": ("coefficient", "where"),
        "probe": ("aggregate", "threshold", "fpr"),
    }.items():
        for name in names:
            if name in options and needed not in options:
                raise InputError(f"-M {name}=… does nothing without -M {needed}=….")
    if "threshold" in options and "fpr" in options:
        raise InputError("-M fpr=… sets a threshold, and -M threshold=… was given. Give one.")


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"-M {name}={value} is no number.")
    return float(value)


def _example(messages: Sequence[ChatMessage]) -> Example:
    turns = []
    for message in messages:
        if message.role == "tool":
            raise InputError("Models of repalign read no results of tools.")
        if not isinstance(message.content, str) and any(
            part.type not in ("text", "reasoning") for part in message.content
        ):
            raise InputError("Models of repalign read text; this task shows something else.")
        turns.append(Message(message.role, message.text))
    return Example(tuple(turns))


def _options(config: GenerateConfig) -> dict[str, Any]:
    """Options of `generate` of transformers, and `seed`."""
    not_met = [name for name in _NOT_MET if getattr(config, name) is not None]
    if config.num_choices not in (None, 1):
        not_met.append("num_choices")
    if not_met:
        raise InputError(
            f"Models of repalign do not know these options of generation: {', '.join(not_met)}. "
            "Leave them out."
        )
    named = {
        "max_new_tokens": config.max_tokens,
        "temperature": config.temperature,
        "top_p": config.top_p,
        "top_k": config.top_k,
        "seed": config.seed,
    }
    return {name: value for name, value in named.items() if value is not None}
