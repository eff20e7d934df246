"""Reading: what the rewards that score a completion by a probe have in common."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, get_args

import numpy as np
from jaxtyping import Float

from repalign.errors import InputError, RepalignError, unknown
from repalign.monitoring.aggregating import Aggregate
from repalign.readouts import Readout
from repalign.spans import Span
from repalign.tokens import Tokens
from repalign.training import checking
from repalign.training.penalties import ProbeScore
from repalign.training.rewards.completions import said
from repalign.training.rewards.generated import SPANS, Generated
from repalign.training.rewards.weights import Scorer, Weights, at, scorer
from repalign.training.terms import terms


@dataclass(frozen=True, eq=False)
class ReadsModel:
    """A reward that reads states of the tokens that the policy generated, in a pass of its own.

    The trainer that it belongs to takes hold of it by `attach`, so it needs one that `penalised`
    made; `penalised(GRPOTrainer, [])` will do.
    """

    readout: Readout
    weights: Weights = field(default="frozen", kw_only=True)
    """Which weights read: `frozen`, those before training (the adapter off, or the trainer's
    `ref_model`, or `penalised(…, reference="copy")`), or `current`, which the policy can bend."""
    aggregate: Aggregate | str = field(default="mean", kw_only=True)
    """From tokens to a completion: `mean`, `max`, `top-5` or `rolling-8`; see
    `monitoring.Aggregate`."""
    span: Span | str | None = field(default=None, kw_only=True)
    """Which tokens of the completion: `answer`, its words without thoughts; `assistant`, with
    thoughts; `last`. By default the readout's own."""
    name: str = field(default="probe", kw_only=True)
    """What logs call it: `rewards/<name>/mean`, `<name>/score`."""
    source: Any = field(default=None, kw_only=True, repr=False)
    """The trainer and the model that scores, set by `attach`."""

    def __post_init__(self) -> None:
        """Refuse what cannot be read."""
        if self.weights not in get_args(Weights):
            raise unknown("choice of weights", self.weights, get_args(Weights))
        if isinstance(self.aggregate, str):
            object.__setattr__(self, "aggregate", Aggregate.parse(self.aggregate))
        span = self.readout.span if self.span is None else self.span
        span = Span.parse(span) if isinstance(span, str) else span
        if span.name not in SPANS:
            whose = "The readout was fitted on" if self.span is None else "The reward reads"
            raise InputError(
                f"{whose} span '{span}', and of a completion that is being generated only "
                f"{', '.join(SPANS)} can be read. Say span=…, and a threshold that was set for it."
            )
        object.__setattr__(self, "span", span)

    @property
    def __name__(self) -> str:
        """What TRL logs it as."""
        return self.name

    def attach(self, trainer: Any) -> "ReadsModel":
        """The same reward, reading what this trainer generates.

        Args:
            trainer: made by `penalised`, which calls this itself.

        Raises:
            InputError: another trainer, a readout of another model, or no model before training.
        """
        if not hasattr(trainer, "before_training"):
            raise InputError(_UNATTACHED.format(name=self.name))
        model = scorer(trainer, self.weights, self.name)
        for site in self.readout.sites:
            model.architecture.check(site)
            width = model.architecture.width(site)
            if self.readout.coef.shape[1] != width:
                raise InputError(
                    f"{self.name} reads states of width {self.readout.coef.shape[1]} at {site}; "
                    f"this model has {width}. Take a probe of this model."
                )
        if trainer.same_weights and trainer.accelerator.is_main_process:
            network = trainer.accelerator.unwrap_model(trainer.model)
            read = ProbeScore(self.readout, 1.0, name=self.name)
            checking.check_weights(terms([read]), network)
        return replace(self, source=(trainer, model))

    def scores(
        self, completions: Sequence[Any], completion_ids: Any, columns: dict[str, Any]
    ) -> list[float | None]:
        """The probe's score of each completion; None where it says nothing that the span reads.

        Args:
            completions: as TRL gives them.
            completion_ids: the tokens that the policy wrote.
            columns: of the data, and what else TRL hands over.

        Raises:
            InputError: the reward belongs to no trainer, or the texts come with images.
            RepalignError: the tokens are not those of the batch that the trainer generated last.
        """
        trainer, model = self._attached(columns)
        generated = trainer.generated
        if generated is None or not generated.wrote(completion_ids):
            raise RepalignError(
                f"{self.name} scores the completions of the batch that its trainer generated last, "
                "and was given others. Leave the call to the trainer; to score texts by hand, take "
                "repalign.Monitor."
            )
        per_token = self._tokens(trainer, model, generated)
        how = self.aggregate
        assert isinstance(how, Aggregate)
        scores = [
            how(values) if len(values) and said(completion).strip() else None
            for values, completion in zip(per_token, completions, strict=True)
        ]
        kept = [score for score in scores if score is not None]
        self._log(columns, "score", kept)
        return scores

    def _attached(self, columns: dict[str, Any]) -> tuple[Any, Scorer]:
        if self.source is None:
            raise InputError(_UNATTACHED.format(name=self.name))
        if any(columns.get(name) is not None for name in ("image", "images")):
            raise InputError(f"{self.name} reads texts, and these come with images.")
        return self.source

    def _tokens(
        self, trainer: Any, model: Scorer, generated: Generated
    ) -> list[Float[np.ndarray, " token"]]:
        """The scores of the tokens of each completion that count."""
        words = getattr(trainer.processing_class, "tokenizer", trainer.processing_class)
        assert isinstance(self.span, Span)
        counted = generated.counted(words, trainer.eos_token_ids, self.span)
        rows, sites = generated.rows(), self.readout.sites
        # All rows, whether anything of them counts or not: processes that share a split model have
        # to make the same passes.
        size = max(1, trainer.args.per_device_train_batch_size)
        found: list[np.ndarray] = []
        for start in range(0, len(rows), size):
            tokens = Tokens.pad(rows[start : start + size], words.pad_token_id)
            places = counted[start : start + size]
            mask = tokens.mask(places)
            states = model.states(tokens, sites, lambda s, mask=mask: at(s, mask))
            total = np.full(int(mask.sum()), self.readout.intercept, dtype=np.float64)
            for site, coef in zip(sites, self.readout.coef, strict=True):
                total += states[site].numpy().astype(np.float64) @ coef.astype(np.float64)
            found += np.split(total, np.cumsum([len(one) for one in places])[:-1])
        return found

    def _log(self, columns: dict[str, Any], what: str, values: Sequence[float | bool]) -> None:
        log = columns.get("log_metric")
        if log is not None and values:
            log(f"{self.name}/{what}", sum(values) / len(values))

    def _read(self) -> dict[str, Any]:
        """How it reads, as a record keeps it."""
        return {
            "reward": type(self).__name__,
            "name": self.name,
            "readout": {
                "sites": [str(site) for site in self.readout.sites],
                "fingerprint": self.readout.fingerprint,
            },
            "span": str(self.span),
            "aggregate": str(self.aggregate),
            "weights": self.weights,
            "scored_by": None if self.source is None else self.source[1].name,
        }


_UNATTACHED = (
    "{name} reads the model that is trained, and belongs to no trainer that lets it. Make the "
    "trainer with penalised(GRPOTrainer, []) or penalised(RLOOTrainer, []) from repalign.training, "
    "and give it this reward."
)
