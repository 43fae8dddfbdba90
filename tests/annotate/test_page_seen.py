"""What the eye needs, in a real Chromium: ticks, arrows, marks; no keys on a phone."""

from __future__ import annotations

import pytest

from data.records import Pair, Score
from tests.annotate.browsing import PHONE, served
from tests.annotate.world import scores

pytestmark = pytest.mark.browser


def test_a_tick_and_the_arrow_of_a_list_are_drawn(visit, shown):
    """Gradio's rules take both away: its tick is white, and so is the box on our paper."""
    me = visit(shown[0], "Tick")
    drawn = me.page.evaluate(
        "[...document.querySelectorAll('#second-look :is(select, [type=checkbox])')]"
        ".map((one) => getComputedStyle(one).appearance)"
    )
    assert len(drawn) >= 5
    assert set(drawn) == {"auto"}


def test_a_phone_is_offered_settings_and_no_keys(visit, shown):
    me = visit(shown[0], "Pho", **PHONE)
    me.page.locator("[data-act=keys]").tap()
    me.says("dialog h2", "Settings")
    assert me.page.locator(".sl-settings [name=reveal]").is_checked()
    assert not me.page.locator(".sl-keys").is_visible()
    assert not me.page.locator(".sl-keys-reset").is_visible()


def test_numbers_that_read_alike_are_not_marked(visit, world, make_db, tmp_path):
    """70.00 against 70.04 in every dimension: a margin of 0.04 points, and 70 on both sides."""
    records = [one for one in world.records if not isinstance(one, Score)]
    for pair in [one for one in records if isinstance(one, Pair)]:
        records += [*scores(pair.a, 0.7), *scores(pair.b, 0.7004)]
    with served(make_db(tmp_path, records), blind=0.0) as address:
        me = visit(address, "Eve")
        assert "by <0.1" in me.text(".sl-verdict")
        assert me.page.locator(".sl-bars li").count() > 7
        assert me.page.locator(".sl-higher").count() == 0
        assert "Sharpness" in me.text(".sl-bars")  # what is measured, not what it stands in for
