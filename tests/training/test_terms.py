"""Terms: which of them logs what, where several read along one direction."""

import trainers as tr

from repalign.training import Movement, Projection, Reroute, Retain, Target, delta
from repalign.training.penalties import Penalty, Together
from repalign.training.terms import terms


def _watching(*penalties: Penalty | Together) -> list[bool]:
    return [term.watches for term in terms(penalties)]


def test_a_projection_is_taken_once() -> None:
    one, other = tr.random(), tr.random(seed=4)
    assert _watching(delta(one, 1.0)) == [True, False]
    # Its logs lack the reference, which the next one adds.
    assert _watching(Projection(one, 1.0), delta(one, 1.0)) == [True, True, False]
    assert _watching(Target(one, 1.0), Projection(one, 1.0)) == [True, False]
    assert _watching(Retain(one, 1.0), Projection([one, tr.random(1)], 1.0)) == [True, True]
    assert _watching(Movement(one, 1.0), Movement(other, 1.0)) == [True, True]
    assert _watching(Movement(one, 1.0), Movement(one, 1.0, span="prompt")) == [True, True]
    assert _watching(Movement(one, 1.0), Movement(one, 1.0, label=1)) == [True, True]


def test_what_watches_nothing_takes_no_others_place() -> None:
    one = tr.random()
    assert _watching(Reroute(one.site, 1.0), Movement(one, 1.0))[1]


def test_one_of_your_own_watches_what_it_likes() -> None:
    class Named(Projection):
        def watched(self, states: object) -> dict[str, object]:  # type: ignore[override]
            return {}

    one = tr.random()
    assert _watching(Projection(one, 1.0), Named(one, 1.0)) == [True, True]
