"""Perplexity: whether ordinary text is foreseen as well as before, which training often costs."""

from repalign import datasets
from repalign.answering import Local
from repalign.behavior import Reference, perplexity
from repalign.errors import InputError
from repalign.evaluation.outcome import Outcome
from repalign.evaluation.setting import Setting
from repalign.metrics import Estimate


def evaluate(setting: Setting) -> Outcome:
    """Read the conversations of `benign` with the model, and with the one before.

    Raises:
        InputError: a model is behind a server.
    """
    model = setting.local("perplexity")
    texts = setting.limited(datasets.load("benign", require_labels=False))
    with setting.progress(f"perplexity: {model.name}"):
        if setting.before is None:
            figures: dict[str, Estimate | None] = {"perplexity": perplexity(model, texts)}
        elif not isinstance(setting.before, Local):
            raise InputError(
                "The suite perplexity reads the probabilities of both models, which no server "
                "gives out. Load the one before here: --before NAME without --before-server."
            )
        else:
            damage = Reference.of(setting.before.model, texts).damage(model)
            figures = {
                "perplexity": damage.perplexity,
                "perplexity, earlier model": damage.perplexity_before,
                "divergence from the earlier model, nats a token": damage.mean,
                "divergence of the worst 5% of tokens": damage.worst,
                "likeliest token unchanged": damage.agreement,
            }
    return Outcome(
        figures,
        (),
        notes=(
            "Of 200 conversations written for this project, every token but the first of each; "
            "compare models that share a tokenizer.",
        ),
    )
