"""Deutsch. What each table is for is said in `annotate/words/__init__.py`."""

from __future__ import annotations

from annotate.words.lead_de import LEAD as LEAD
from annotate.words.page_de import PAGE as PAGE

NAME: str = "Deutsch"

MISSING: dict[str, str] = {
    "subject_consistency": "Motiv bleibt gleich",
    "background_consistency": "Hintergrund bleibt gleich",
    "temporal_flickering": "Kein Flackern",
    "motion_smoothness": "Fließende Bewegung",
    "dynamic_degree": "Maß der Bewegung",
    "aesthetic_quality": "Ästhetik",
    "imaging_quality": "Bildqualität",
    "alignment": "Passt zum Prompt",
}

STAND_INS: dict[str, str] = {
    "subject_consistency": "Formen bleiben",
    "background_consistency": "Farben bleiben",
    "temporal_flickering": "Kein Flackern",
    "motion_smoothness": "Fließende Bewegung",
    "dynamic_degree": "Bewegung",
    "aesthetic_quality": "Farbigkeit",
    "imaging_quality": "Schärfe",
}

IDLE: dict[str, str] = {
    "empty_title": "Noch keine Clips",
    "empty": "In dieser Datenbank gibt es nichts zu vergleichen. In einem anderen Terminal:",
    "unpaired_title": "Noch keine Paare",
    "unpaired": "Es gibt Clips, aber noch keine Paare. In einem anderen Terminal:",
    "campaign_title": "Diese Kampagne ist leer",
    "campaign": "Kampagne „{campaign}“ hat keine Paare, andere schon. Die App so neu starten:",
    "done_title": "Alles erledigt",
    "done": "Du hast jedes Paar beantwortet, das es für dich gibt. Danke.",
    "taken_title": "Nichts mehr für dich",
    "taken": "Jedes andere Paar wird gerade beantwortet oder wurde von so vielen Personen "
    "beantwortet, wie gefragt waren ({redundancy}).",
    "paused_title": "Pause",
    "paused": "Diese Kampagne ruht. Deine Antworten sind gespeichert; schau später wieder vorbei.",
    "practice_title": "Die Übung ist fürs Erste vorbei",
    "practice": "Die Übungsrunde wurde nicht bestanden, und es gibt keinen Versuch mehr. Wer diese "
    "Kampagne leitet, kann dir einen weiteren geben; diese Seite merkt es von selbst.",
    "sample": "Clips mit dem eingebauten Modell machen …",
    "ingest": "… oder eigene Videos einlesen",
    "score": "Die Clips bewerten",
    "pair": "Paare bilden",
    "more": "Um mehr Personen je Paar zu fragen (die App übernimmt es sofort)",
    "again": "Um mehr Personen je Paar zu fragen, die App so neu starten",
    "train": "Mit den Antworten trainieren",
}

ERRORS: dict[str, str] = {
    "who": "Sag zuerst, wer du bist.",
    "name_empty": "Gib einen Namen ein: 1 bis 64 Buchstaben.",
    "name_long": "Dieser Name hat {length} Buchstaben; erlaubt sind 64.",
    "ticket": "Dieses Paar wurde nicht dir vorgelegt. Lade die Seite neu.",
    "pair": "Dieses Paar ist nicht mehr in der Datenbank. Lade die Seite neu.",
    "undo_target": "Diese Antwort ist nicht deine, oder es gibt sie nicht.",
    "undo_gone": "Diese Antwort wurde schon zurückgenommen oder geändert.",
    "undo_far": "Rückgängig geht zehn Antworten weit. Ältere lassen sich im Verlauf öffnen.",
    "practice_final": "Antworten der Übung werden nicht zurückgenommen oder geändert. Bitte die "
    "Seite neu laden.",
    "reveal": "Für diese Antwort steht kein Wert aus: sie ist nicht deine neueste, war nicht blind "
    "oder wurde zurückgenommen.",
    "unknown_key": "{what} {unknown} gibt es hier nicht; es gibt: {keys}.",
    "unanswered": "Einige Fragen sind nicht beantwortet: {keys}.",
    "gate": "Beide Clips müssen einmal durchgelaufen sein; einer erst zu {least}.",
    "campaign": "Die Kampagne {name} gibt es nicht; es gibt: {names}.",
    "format": "Das Format {name} gibt es nicht; es gibt: {names}.",
    "clip": "Diesen Clip gibt es nicht.",
    "image": "Dieses Bild gibt es nicht.",
    "sign_in": "Bitte zuerst anmelden.",
    "lead": "Das ist der Leitung und der Verwaltung vorbehalten.",
    "lead_accounts": "Alle im Netz können hier jeden Namen angeben; die Seiten der Leitung sind "
    "darum geschlossen. Konten: python -m annotate.people add NAME --role admin",
    "accounts_on": "Hier gibt es Konten: bitte mit Namen und Passwort anmelden.",
    "accounts_off": "Hier gibt es keine Konten: ein Name genügt.",
    "wrong": "Name oder Passwort ist falsch.",
    "throttled": "Zu viele Versuche. Bitte {minutes} min warten und noch einmal versuchen.",
    "password_short": "Das Passwort hat {length} Zeichen; mindestens {least} sind nötig.",
    "password_long": "Das Passwort hat {length} Zeichen; höchstens {most} sind erlaubt.",
    "name_taken": "Der Name ist vergeben; bitte einen anderen wählen.",
    "invitation": "Diese Einladung wurde benutzt, zurückgezogen oder ist abgelaufen. Bitte um "
    "eine neue bitten.",
    "elsewhere": "Diese Anfrage kommt von einer anderen Seite.",
    "host": "Diese App antwortet nur unter localhost. Hinter einem Proxy mit --trust-proxy "
    "starten, oder mit --host das Netz zulassen.",
    "nothing": "Hier ist nichts.",
    "busy": "Im Augenblick melden sich zu viele an; bitte noch einmal versuchen.",
    "too_large": "Das ist zu viel auf einmal: {limit} Bytes sind erlaubt.",
}

QUESTIONS: dict[str, str] = {
    "visual_name": "Bild",
    "visual": "Welcher Clip ist Bild für Bild besser gemacht?",
    "visual_rule": "Echtheit vor Schönheit.",
    "motion_name": "Bewegung",
    "motion": "In welchem Clip ist die Bewegung natürlicher, fließender und glaubhafter?",
    "motion_rule": "Gleichbleiben vor Flackern, Fließen vor der Menge der Bewegung.",
    "alignment_name": "Prompt",
    "alignment": "Welcher Clip zeigt, was der Prompt verlangt?",
    "alignment_rule": "Dinge und Anzahl vor Handlungen, Handlungen vor Stil.",
    "overall_name": "Gesamt",
    "overall": "Alles in allem: Welchen Clip würdest du behalten?",
    "overall_rule": "",
}

FLAGS: dict[str, str] = {
    "watermark": "Wasserzeichen oder Logo",
    "text": "Verstümmelte Schrift im Bild",
    "nsfw": "Anstößig oder verstörend",
}

SKIPS: dict[str, str] = {
    "broken": "Ein Clip lässt sich nicht abspielen",
    "prompt": "Der Prompt ergibt keinen Sinn",
    "language": "Ich verstehe die Sprache des Prompts nicht",
    "unsure": "Das kann ich nicht beurteilen",
    "unwilling": "Das möchte ich nicht ansehen",
    "other": "Ein anderer Grund",
}

NOTICES: dict[str, str] = {
    "warning": "Bitte sieh noch einmal hin: bei Paaren, deren Antwort bekannt ist, war deine "
    "zuletzt oft eine andere. Die Anleitung kann helfen.",
    "break": "Du bist seit {minutes} Minuten dabei. Eine kurze Pause hält die Augen ehrlich.",
    "paused": "Diese Kampagne ruht.",
}
