"""400 probes against lists of 1,000 templates: the listed person is found, and false alarms are those chosen.

The faces are AT&T's, from the shared folder. How 40 people make lists of 1,000, and what that is worth, is said in
``models/face_embedder/identify.py``.
"""

from __future__ import annotations

import numpy as np
import pytest

from edge.grant.document import ListedFace
from edge.grant.gate import Permit, Terms, decide
from edge.vision.face_embedder import quantise
from edge.vision.face_threshold import match_rate, threshold
from tests import law

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def halves(shared):
    from models.face_embedder import att, identify

    return identify.half(att.DEVELOPMENT), identify.half(att.EVALUATION)


@pytest.fixture(scope="module")
def tried(halves):
    from models.face_embedder import identify

    development, evaluation = halves
    return identify.joined(identify.trial(evaluation, development), identify.trial(development, evaluation))


def test_400_probes_meet_1000_templates_each_one_of_them_their_own(tried):
    assert tried.cosines.shape == (400, 1000)
    assert ((tried.listed == tried.probes[:, None]).sum(axis=1) == 1).all()


@pytest.mark.parametrize(("rate", "least_found"), [(1e-3, 0.95), (1e-4, 0.93), (1e-5, 0.9)])
def test_the_listed_are_found_and_false_matches_are_as_rare_as_chosen(tried, rate, least_found):
    from models.face_embedder.identify import interval

    mates = tried.listed == tried.probes[:, None]
    over = tried.cosines >= threshold(rate)
    best = np.argmax(tried.cosines, axis=1)
    rows = np.arange(len(best))
    assert (over & mates)[rows, best].mean() >= least_found
    low, high = interval((over & ~mates).astype(np.intp), tried)
    assert low <= rate <= high


def test_the_gate_decides_as_the_arithmetic_says(halves):
    """Through a grant: 20 probes, 1,000 entries, the threshold that 10 false alarms a day at 1,000 passers-by give."""
    development, evaluation = halves
    level = threshold(match_rate(10, 1000, 1000))

    def entry(name, vector):
        made = quantise(vector.astype(np.float32), 90.0)
        return ListedFace(name, made.vector.tobytes(), made.scale, level)

    people = np.unique(evaluation.subjects)
    first = [int(np.flatnonzero(evaluation.subjects == person)[0]) for person in people]
    listed = [entry(f"s{evaluation.subjects[i]}", evaluation.templates[i + 1]) for i in first]
    listed += [entry(f"other-{i}", vector) for i, vector in enumerate(development.forms[:980])]
    grant = law.make(function="faces", scope="listed", plates=(), faces=tuple(listed))
    terms, templates = Terms(grant), np.array([np.frombuffer(f.vector, np.int8) * f.scale for f in listed])
    for i in first:
        probe = quantise(evaluation.templates[i].astype(np.float32), 90.0)
        decision = decide(probe, terms, law.CAMERA, law.NOW)
        cosines = templates @ (probe.vector * probe.scale)
        if isinstance(decision, Permit):
            assert decision.entry == listed[int(np.argmax(cosines))].entry
            assert decision.similarity == pytest.approx(min(1.0, cosines.max()), abs=1e-4)
        else:
            assert cosines.max() < level + 1e-4
