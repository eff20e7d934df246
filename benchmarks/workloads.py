"""What is read in the benchmarks: texts of the built-in data, the same ones each time."""

from dataclasses import dataclass

from repalign import Example, LanguageModel, Site, datasets
from repalign.datasets.builtin import BUILTIN_TOPICS
from repalign.spans.rendering import render


@dataclass(frozen=True)
class Workload:
    """Texts, and the layers at which the last token of each is read."""

    name: str
    title: str
    examples: list[Example]
    layers: list[int]
    against: tuple[str, ...] = ()
    """Peers it is timed against; empty for all."""
    asked: float = 1.0
    """Times as fast as the fastest of them that was asked for."""

    def sites(self) -> list[Site]:
        """The sites read."""
        return [Site(layer) for layer in self.layers]

    def texts(self, model: LanguageModel) -> list[str]:
        """The texts as a peer gets them, chat template rendered."""
        return [render(model.tokenizer, example).text for example in self.examples]


def workloads(model: LanguageModel, scale: float = 1.0) -> list[Workload]:
    """The workloads for a model.

    Args:
        model: says how many layers there are.
        scale: share of the texts.
    """
    every, middle = list(range(model.n_layers)), [model.n_layers // 2 - 1]
    personas = _of("{}_persona", round(100 * scale))
    truncated = _of("{}_persona_truncated", round(110 * scale))
    short = _of("{}", round(25 * scale)) + _of("{}_negated", round(25 * scale))
    return [
        Workload("personas", "persona templates, all layers", personas, every, asked=6.0),
        Workload(
            "truncated",
            "truncated statements, both personas, all layers",
            truncated,
            every,
            against=("repe",),
            asked=20.0,
        ),
        Workload("short", "short statements, all layers", short, every, asked=1.7),
        Workload("middle", "short statements, one middle layer", short, middle, asked=3.0),
        Workload(
            "personas_middle",
            "persona templates, one middle layer",
            personas,
            middle,
            # Those that stop at the layer asked for, too.
            against=("nnsight", "transformer_lens"),
            asked=3.0,
        ),
    ]


def _of(pattern: str, count: int) -> list[Example]:
    """The first texts of every topic's data set, whole groups."""
    return [
        example
        for topic in BUILTIN_TOPICS
        for example in datasets.load(pattern.format(topic))[:count]
    ]
