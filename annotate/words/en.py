"""English. What each table is for is said in `annotate/words/__init__.py`."""

from __future__ import annotations

from annotate.words.lead_en import LEAD as LEAD
from annotate.words.page_en import PAGE as PAGE

NAME: str = "English"

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

STAND_INS: dict[str, str] = {
    "subject_consistency": "Structure stays",
    "background_consistency": "Colours stay",
    "temporal_flickering": "No flicker",
    "motion_smoothness": "Smooth motion",
    "dynamic_degree": "Movement",
    "aesthetic_quality": "Colourfulness",
    "imaging_quality": "Sharpness",
}

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
    "paused_title": "A pause",
    "paused": "This campaign is paused. Your answers are stored; come back later.",
    "practice_title": "Practice is over for now",
    "practice": "The practice round was not passed, and there are no more tries. Whoever leads "
    "this campaign can give you another one; this page notices by itself.",
    "sample": "Make clips with the built-in model …",
    "ingest": "… or bring in videos that you have",
    "score": "Score the clips",
    "pair": "Pair them",
    "more": "To ask more people per pair (the app takes it up at once)",
    "again": "To ask more people per pair, start the app again with",
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
    "undo_far": "Undo goes back ten answers. Open older ones from the history.",
    "practice_final": "Practice answers are not taken back or changed. Reload the page.",
    "reveal": "No score is due for that vote: it is not your newest answer, it was not blind, or "
    "it was taken back.",
    "unknown_key": "There is no {what} {unknown} here; there are: {keys}.",
    "unanswered": "Some questions are not answered: {keys}.",
    "gate": "Both clips must have played through once; the shorter look covered {least}.",
    "campaign": "There is no campaign {name}; there are: {names}.",
    "format": "There is no format {name}; there are: {names}.",
    "clip": "No such clip.",
    "image": "No such image.",
    "sign_in": "Sign in first.",
    "lead": "This is for leads and admins.",
    "lead_accounts": "Anybody on the network can say any name here, so the pages for leads are "
    "closed. Turn accounts on: python -m annotate.people add NAME --role admin",
    "accounts_on": "Accounts are on here: sign in with your name and password.",
    "accounts_off": "There are no accounts here: say your name, that is all.",
    "wrong": "Name or password is wrong.",
    "throttled": "Too many tries. Wait {minutes} min, then try again.",
    "password_short": "The password has {length} characters; at least {least} are needed.",
    "password_long": "The password has {length} characters; at most {most} are allowed.",
    "name_taken": "That name is taken; choose another.",
    "invitation": "This invitation was used, withdrawn, or has expired. Ask for a new one.",
    "elsewhere": "This request comes from another site.",
    "host": "This app answers on this machine only, under localhost. Start it with "
    "--trust-proxy behind a proxy, or with --host to let the network in.",
    "nothing": "There is nothing here.",
    "busy": "Too many people are signing in at this moment; try again.",
    "too_large": "That is too much at once: {limit} bytes are allowed.",
}

QUESTIONS: dict[str, str] = {
    "visual_name": "Picture",
    "visual": "Which clip looks better made, frame by frame?",
    "visual_rule": "Fidelity before beauty.",
    "motion_name": "Motion",
    "motion": "In which clip is the movement more natural, smooth and plausible?",
    "motion_rule": "Consistency before flicker, smoothness before the amount of motion.",
    "alignment_name": "Prompt",
    "alignment": "Which clip shows what the prompt asks for?",
    "alignment_rule": "Objects and counts before actions, actions before style.",
    "overall_name": "Overall",
    "overall": "All things considered, which clip would you keep?",
    "overall_rule": "",
}

FLAGS: dict[str, str] = {
    "watermark": "Watermark or logo",
    "text": "Garbled text in the picture",
    "nsfw": "Offensive or disturbing",
}

SKIPS: dict[str, str] = {
    "broken": "A clip cannot be played",
    "prompt": "The prompt makes no sense",
    "language": "I do not understand the prompt's language",
    "unsure": "I cannot judge this one",
    "unwilling": "I do not want to watch this",
    "other": "Another reason",
}

NOTICES: dict[str, str] = {
    "warning": "Please look again at how you answer: on pairs where the answer is known, yours has "
    "often been another one lately. The guideline may help.",
    "break": "You have been at it for {minutes} minutes. A short break keeps your eyes honest.",
    "paused": "This campaign is paused.",
}
