"""Every English sentence of the page, in one file: a translation is another table like this one.

`PAGE` fills `static/page.html` on the server and is handed to the script as data; nothing else in
`annotate/` speaks to a person. Commands shown to people are built in `annotate/idle.py`.
"""

from __future__ import annotations

PAGE: dict[str, str] = {
    "title": "Second Look",
    # Who am I
    "ask_title": "Who is taking the second look?",
    "ask_why": "Your name is stored with every vote, so that two people are never mixed up. "
    "Use the same one each time.",
    "ask_label": "Your name",
    "ask_button": "Start",
    "ask_cancel": "Cancel",
    "me_hint": "Voting as this person; click to change",
    # Progress
    "progress": "{done} done · {left} left for you · {today} today",
    "progress_label": "Share of your pairs that is done",
    # Clips and their controls
    "prompt": "Prompt",
    "left": "Left",
    "right": "Right",
    "loading": "Loading the clips …",
    "broken": "This clip cannot be played",
    "broken_notice": "The {side} clip cannot be played. Skip this pair; the reason is stored.",
    "broken_both": "Neither clip can be played. Skip this pair; the reason is stored.",
    "controls": "Both clips",
    "play": "Play or pause both",
    "back": "One frame back",
    "forward": "One frame forward",
    "restart": "Both from the start",
    "scrub": "Position in both clips",
    "slower": "Slower",
    "faster": "Faster",
    "loop": "Loop",
    "zoom": "Zoom both; drag to move",
    # OmniScore
    "opinion": "OmniScore",
    "heuristic": "heuristic",
    "heuristic_why": "Classical measures without learned weights: a rough opinion.",
    "prefers": "prefers {side} by {margin}",
    "prefers_none": "sees no difference",
    "prefers_missing": "has no complete score for both clips",
    "total": "Total",
    "missing": "missing",
    "profile": "Profile {profile}. Bars: 0 to 100 in the profile's range.",
    "blind_title": "Blind pair",
    "blind_why": "OmniScore is hidden until you have answered. Then you can keep or change.",
    "unscored_title": "Not scored",
    "unscored_why": "OmniScore has not seen these clips. Your answer counts all the same.",
    # Answers
    "vote_left": "Left better",
    "vote_right": "Right better",
    "vote_tie": "Tie",
    "vote_unusable": "Both unusable",
    "skip": "Skip",
    "undo": "Undo",
    "confirm": "confirm",
    "override": "override",
    "confirm_key": "Enter",
    "override_key": "O",
    "reveal": "You answered: {answer}. OmniScore {opinion}.",
    "keep": "Keep",
    "change_how": "or change it below",
    "flip_how": "; the other side:",
    # Notices
    "waits": "This page looks for new pairs by itself; leave it open.",
    "waiting": "Waiting for the server: your vote is kept here, not lost. Trying again …",
    "delivered": "The waiting vote has arrived.",
    "undone": "Undone. Here is the pair again.",
    "nothing_to_undo": "There is nothing to undo.",
    "unreachable": "The server does not answer. Trying again …",
    "refused": "The server did not take this: {why}",
    "again": "Look again",
    "noscript": "This page needs JavaScript to play two clips in step.",
}

MISSING: dict[str, str] = {
    "subject_consistency": "Subject consistency",
    "background_consistency": "Background consistency",
    "temporal_flickering": "Temporal flickering",
    "motion_smoothness": "Motion smoothness",
    "dynamic_degree": "Dynamic degree",
    "aesthetic_quality": "Aesthetic quality",
    "imaging_quality": "Imaging quality",
    "alignment": "Fits the prompt",
}
"""Names of dimensions that a profile has no measure for (those that it has carry their own)."""

IDLE: dict[str, str] = {
    "empty_title": "No clips yet",
    "empty": "There is nothing to compare in this database. Run, in another terminal:",
    "unpaired_title": "No pairs yet",
    "unpaired": "There are clips, but no two of them have been paired. Run, in another terminal:",
    "campaign_title": "This campaign is empty",
    "campaign": "Campaign “{campaign}” has no pairs; others have. Start the app again with one:",
    "done_title": "All done",
    "done": "You have answered every pair that there is for you. Thank you.",
    "taken_title": "Nothing left for you",
    "taken": "Every other pair is being answered now, or has been answered by as many people as "
    "were asked for ({redundancy}).",
    "sample": "Make clips with the built-in model …",
    "ingest": "… or bring in videos that you have",
    "score": "Score the clips",
    "pair": "Pair them",
    "more": "To ask more people per pair, start the app again with",
    "train": "Train on the votes",
}

ERRORS: dict[str, str] = {
    "who": "Say who you are first.",
    "name_empty": "Type a name: 1 to 64 letters.",
    "name_long": "That name has {length} letters; 64 are allowed.",
    "ticket": "This pair was not handed to you. Reload the page.",
    "pair": "This pair is no longer in the database. Reload the page.",
    "undo_target": "That vote is not yours, or does not exist.",
    "undo_gone": "That vote was already taken back or changed.",
    "clip": "No such clip.",
}
