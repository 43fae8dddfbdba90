"""Who is at the page: signing in, invitations, practice, other campaigns, notices."""

from __future__ import annotations

import pytest

from data.records import Pair
from tests.annotate.browsing import decide, served, votes_of
from tests.annotate.site import PASSWORD, admit, invite
from tests.annotate.working import with_known

pytestmark = pytest.mark.browser

LOOKS = """(() => {
  const canvas = Object.assign(document.createElement('canvas'), { width: 8, height: 8 });
  canvas.getContext('2d').drawImage(video, 0, 0, 8, 8);
  return [...canvas.getContext('2d').getImageData(0, 0, 8, 8).data].join();
})()"""
"""What a clip looks like now: the only way to know a pair again from the page alone."""


def test_signing_in_out_and_in_again_by_keyboard(visit, db):
    ids = admit(db, {"Ada": "admin", "Ann": "annotator"})
    with served(db, blind=0.0) as address:
        me = visit(address)
        assert me.text(".sl-ask h1") == "Sign in"
        for word, state in (("wrong", "ask"), (PASSWORD, "pair")):
            me.page.fill("input[name=name]", "Ann")
            me.page.fill("input[name=password]", word)
            me.page.keyboard.press("Enter")
            if state == "ask":
                me.says(".sl-ask-error", "wrong")
        me.state("pair").ready()
        assert me.text(".sl-me") == "Ann"
        assert not me.page.is_visible(".sl-lead")
        me.key("1")
        me.page.click(".sl-me")
        me.says(".sl-ask h1", "Sign in")
        me.page.click(".sl-signout")
        me.page.wait_for_selector(".sl-signout", state="hidden")
        me.page.fill("input[name=name]", "Ada")
        me.page.fill("input[name=password]", PASSWORD)
        me.page.keyboard.press("Enter")
        me.state("pair").ready()
        assert me.page.is_visible(".sl-lead")
        assert me.text(".sl-counts").startswith("0 done")
    assert len(votes_of(db, ids["Ann"])) == 1


def test_an_invitation_makes_an_account_once(visit, db):
    admit(db, {"Ada": "admin"})
    invite(db, "sent")
    with served(db, blind=0.0) as address:
        me = visit(f"{address}#invite=sent")
        me.says(".sl-ask h1", "Welcome")
        me.page.fill("input[name=name]", "Nea")
        me.page.fill("input[name=password]", "a new password")
        me.page.keyboard.press("Enter")
        me.state("pair").ready()
        assert me.text(".sl-me") == "Nea"
        assert "invite" not in me.page.url
        late = visit(f"{address}#invite=sent")
        late.says(".sl-ask-error", "was used, withdrawn, or has expired")
        assert late.text(".sl-ask h1") == "Sign in"


def test_practice_tells_what_was_expected_and_is_passed_on_the_second_try(
    visit, make_db, world, tmp_path
):
    db = make_db(tmp_path, with_known(world.records, "practice", 4))
    decide(db, practice=4, practice_pass=0.75, practice_tries=2, blind=0.0)
    keys = {"left": "1", "right": "2", "tie": "3"}
    with served(db) as address:
        me = visit(address, reduced_motion="reduce").enter("Pam")  # first frames stand still
        assert "Practice 0 of 4" in me.text(".sl-practice")
        learnt = {}
        for number in range(4):
            clips = str(me.video(LOOKS))
            me.press("3").state("feedback").steady()
            said = me.text(".sl-feedback")
            side = next((one for one in ("Left", "Right") if f"{one} better" in said), "tie")
            learnt[clips] = side.lower()
            if number == 3:
                assert "1 of 4 were right" in said
                assert "tries left: 1" in said
            me.press("Enter").state("pair").ready()
        assert sorted(learnt.values()).count("tie") == 1
        for number in range(4):
            me.press(keys[learnt[str(me.video(LOOKS))]]).state("feedback").steady()
            assert "✓ Right." in me.text(".sl-feedback")
            if number == 3:
                assert "Practice passed with 4 of 4" in me.text(".sl-feedback")
            me.press("Enter").state("pair").ready()
        assert not me.page.is_visible(".sl-practice")
        assert me.text(".sl-counts").startswith("0 done")


def test_one_can_switch_to_another_campaign_and_a_pause_is_said(visit, make_db, world, tmp_path):
    pairs = [record for record in world.records if isinstance(record, Pair)]
    other = [Pair.of(p.a, p.b, prompt=p.prompt, campaign="animals") for p in pairs[:2]]
    db = make_db(tmp_path, [*world.records, *other])
    decide(db, name="animals", title="Animals", blind=0.0)
    with served(db, blind=0.0) as address:
        me = visit(address, "Max")
        assert me.text(".sl-counts").startswith("0 done · 8 left")
        me.page.select_option(".sl-campaign", "animals")
        me.says(".sl-counts", "0 done · 2 left").ready()
        me.key("1")  # the keys vote again
        me.page.reload()
        me.says(".sl-counts", "1 done · 1 left").ready()
        decide(db, name="animals", title="Animals", blind=0.0, paused=True)
        me.page.wait_for_timeout(1200)  # the app looks at the database again after a second
        me.page.keyboard.press("1")
        me.state("idle")
        assert "paused" in (me.text(".sl-notice") + me.text(".sl-idle")).lower()
