"""kill -9 of uplink and broker while the whole product runs: what vision handed over arrives all the same."""

from __future__ import annotations

from collections import Counter

import pytest

from provisioning import deployment
from tests.replay.conftest import clip, clip_people, play, wait

__all__ = ["clip"]
pytestmark = pytest.mark.slow


def test_nothing_handed_over_is_lost_when_uplink_and_broker_are_killed(tmp_path, clip):
    def prepare(made):
        deployment.grant_plates(made)
        deployment.grant_faces(made, clip_people())

    killed = []

    def during(stage, played):
        assert wait(lambda: len(played.reports) >= 1, 120)  # in the middle: some are through, some still to come
        stage.kill_uplink()
        stage.broker.kill()
        killed.append(len(played.reports))
        stage.broker.restart()
        assert wait(lambda: len(played.reports) >= 3, 120)
        stage.kill_uplink()
        killed.append(len(played.reports))

    played = play(tmp_path, clip, prepare, during)
    reported = played.counted["reported"]
    assert sum(reported.values()) >= 5
    assert killed[0] < sum(reported.values())
    assert played.counted["not_handed_over"] == 0
    assert Counter(r.seq for r in played.reports) == dict.fromkeys(range(1, sum(reported.values()) + 1), 1)
