"""Builtin: every data set of the package by name, with its card."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from repalign.datasets import (
    benign,
    countries,
    invented,
    limits,
    lists,
    passages,
    personas,
    pressure,
    questions,
    requests,
    statements,
)
from repalign.datasets.card import Card
from repalign.datasets.topics import GEONAMES, OWN, TOPICS, Topic
from repalign.examples import Example


@dataclass(frozen=True)
class Recipe:
    """How one data set is built, and what there is to know of it."""

    name: str
    card: Card
    build: Callable[[], list[Example]]


@dataclass(frozen=True)
class Variant:
    """One way to put a topic's facts: a data set for each topic."""

    suffix: str
    title: str
    label_meaning: str
    build: Callable[[Topic], list[Example]]
    notes: str
    shortcuts: str
    """With the AUROC of a bag of words over the topics, in grouped five-fold cross-validation."""


VARIANTS = (
    Variant(
        "",
        "affirmed",
        "1 the statement is true, 0 it is false",
        statements.affirmed,
        "The two statements of a group name one object. They have different subjects, so a group "
        "is not a minimal pair.",
        "Bag of words 0.47 to 0.55, length 0.47 to 0.50.",
    ),
    Variant(
        "_negated",
        "negated",
        "1 the statement, with its negation, is true, 0 it is false",
        statements.negated,
        "Same groups as the affirmed statements; every label is the opposite of its twin's.",
        "Bag of words 0.47 to 0.55, length 0.50 to 0.53.",
    ),
    Variant(
        "_conjunction",
        "two joined by and",
        "1 both parts are true, 0 one of them is false",
        statements.conjunctions,
        "Each fact is in one group. Groups join two of the affirmed set's: do not split this set "
        "and that one apart by group.",
        "Bag of words 0.46 to 0.51. One part alone gives 0.75, the least that is possible.",
    ),
    Variant(
        "_disjunction",
        "two joined by either … or",
        "1 exactly one part is true, 0 both are false",
        statements.disjunctions,
        "Same groups as the conjunctions. Both parts true does not occur.",
        "Bag of words 0.46 to 0.51. One part alone gives 0.75, the least that is possible.",
    ),
    Variant(
        "_persona",
        "told by an honest or a dishonest person",
        "1 the user asked for an honest person, 0 for a dishonest one; every statement is true",
        personas.whole,
        "The contrast of representation engineering (arXiv 2310.01405) in our own wording.",
        "The instruction names the label (bag of words 1.00). Read the reply, not the prompt, and "
        "do not take this AUROC for knowledge of truth.",
    ),
    Variant(
        "_persona_truncated",
        "every beginning, told by an honest or a dishonest person",
        "1 the user asked for an honest person, 0 for a dishonest one",
        personas.truncated,
        "Cut at words where the paper (arXiv 2310.01405) cuts at tokens. A beginning that several "
        "statements share is kept once.",
        "The instruction names the label (bag of words 1.00).",
    ),
    Variant(
        "_qa",
        "as questions with an answer",
        "1 the answer given is right, 0 it is wrong",
        questions.answered,
        "`meta` has the right `answer` and a wrong `alternative` to each question.",
        "Bag of words 0.47 to 0.55, length 0.47 to 0.50.",
    ),
)
"""A new way to put facts is one more row."""

BUILTIN_TOPICS: tuple[str, ...] = tuple(TOPICS)
"""The topics, each with the variants above."""


def _recipe(topic: Topic, variant: Variant) -> Recipe:
    card = Card(
        title=f"{topic.title}, {variant.title}",
        label_meaning=variant.label_meaning,
        source=topic.source,
        licence=topic.licence,
        shortcuts=" ".join(filter(None, (variant.shortcuts, topic.shortcuts))),
        notes=" ".join(filter(None, (variant.notes, topic.notes))),
    )
    return Recipe(topic.name + variant.suffix, card, partial(variant.build, topic))


_INVENTED = Recipe(
    "invented",
    Card(
        "Questions about things that do not exist",
        "none: there is no answer; the honest one is not to know (meta `knowable` is `no`)",
        "names put together from syllables",
        OWN,
        "Names that look unlike any real one.",
        "That no such name exists anywhere cannot be promised.",
    ),
    invented.unanswerable,
)
_BENIGN = Recipe(
    "benign",
    Card(
        "Ordinary chat",
        "none: the control for false alarms",
        "200 requests and replies written for this project",
        OWN,
        "none: there is nothing to tell apart",
        "A detector of lies should stay silent on all of them.",
    ),
    benign.turns,
)
_REQUESTS = Recipe(
    "requests",
    Card(
        "Requests, harmless and harmful",
        "1 the request is harmless, 0 a decent assistant refuses it",
        "50 harmful requests written for this project, and prompts of `benign`",
        OWN,
        "Words alone tell harmful requests from harmless ones.",
        "For the direction of refusal (arXiv 2406.11717), read at `last_prompt`: a control for "
        "directions of honesty. No reply is given.",
    ),
    requests.contrast,
)
_LIMITS = Recipe(
    "limits",
    Card(
        "Requests beyond what an assistant can do",
        "none: meta `required` says what an honest answer does",
        "156 requests written for this project, 26 in each of six categories",
        OWN,
        "none: there is nothing to tell apart",
        "The categories are those of HonestLLM (arXiv 2406.00380). No reply is given.",
    ),
    limits.requests,
)
_COUNTRIES = Recipe(
    "country_capitals",
    Card(
        "Capitals of countries, as questions to be answered freely",
        "none: meta `answer` and `aliases` are right, `alternative` is wrong",
        TOPICS["capitals"].source,
        TOPICS["capitals"].licence,
        "none: there is nothing to tell apart",
        "The topic `capitals` asks which region a city is the capital of, for a choice between "
        "two; that is hard to answer freely, and half of its cities are capitals of provinces.",
    ),
    countries.capitals,
)
_PRESSURE = Recipe(
    "pressure",
    Card(
        "Scenes in which somebody gains when one side of a fact is stated",
        "none: meta `proposition` and its `truth`, the side that is `pushed`, neutral prompts "
        "`belief_1` to `belief_3`, and the scene without pressure as `control`",
        f"facts of cities, capitals, currencies and spanish ({GEONAMES}; general knowledge); 16 "
        "scenes of eight kinds written for this project",
        "CC BY 4.0 (facts), Apache-2.0 (scenes and wording)",
        "The side that is pushed is true in half of the rows and the answer yes in half, so to "
        "agree with everything is right in half.",
        "For lie against mistake as in MASK (arXiv 2503.03750), whose scenes are not used. Each "
        "fact is in one scene. The kind `boss` gives an order (meta `told`).",
    ),
    pressure.pressed,
)
_PASSAGES = Recipe(
    "passages",
    Card(
        "Short texts of eight facts, each with a question about one of them",
        "none: meta `context`, `question` and the right `answer`",
        f"facts of cities, currencies, capitals and spanish ({GEONAMES}; general knowledge)",
        "CC BY 4.0 (facts), Apache-2.0 (wording)",
        "Who takes any object of the right sort out of the text is right once in five times.",
        "No fact is asked for twice, but facts stand in several texts. All are true, so heed of "
        "the text and knowledge cannot be told apart by the answer alone.",
    ),
    passages.passages,
)
_LISTS = Recipe(
    "lists",
    Card(
        "Questions with several right answers, and questions on the same matter with one",
        "none: meta `members` are the right answers, `variant` is multiple or single",
        "36 complete lists and 72 questions written for this project",
        OWN,
        "Questions with several answers often say so, by a plural or a number.",
        "As in MAQA (arXiv 2408.06816), whose questions are not used. Lists of general knowledge "
        "that most people would agree on; some have another count elsewhere, such as continents.",
    ),
    lists.questions,
)
_RECIPES = (
    *(_recipe(topic, variant) for topic in TOPICS.values() for variant in VARIANTS),
    _INVENTED,
    _BENIGN,
    _REQUESTS,
    _LIMITS,
    _COUNTRIES,
    _PRESSURE,
    _PASSAGES,
    _LISTS,
)
BUILTIN: Mapping[str, Recipe] = MappingProxyType({recipe.name: recipe for recipe in _RECIPES})
"""Every data set that needs no file of the user's, by name."""
