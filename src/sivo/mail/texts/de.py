"""Mails in German."""

from __future__ import annotations

from sivo.mail.template import Kind, Template

TEXTS: dict[Kind, Template] = {
    Kind.INVITATION: Template(
        "Ihr Konto bei {tenant}",
        (
            "Guten Tag {name},",
            "{tenant} hat ein Konto für Sie angelegt. Wählen Sie Ihr Passwort über den folgenden Link. Er gilt einmal,"
            " innerhalb von {days} Tagen.",
            "Falls Sie diese Nachricht nicht erwartet haben, können Sie sie ignorieren.",
        ),
        "Passwort wählen",
    ),
    Kind.PASSWORD_RESET: Template(
        "Neues Passwort für {tenant}",
        (
            "Guten Tag {name},",
            "jemand hat ein neues Passwort für Ihr Konto bei {tenant} angefordert. Wenn Sie es waren, wählen Sie es"
            " über den folgenden Link. Er gilt einmal, innerhalb von {minutes} Minuten.",
            "Wenn Sie es nicht waren, ignorieren Sie diese Nachricht: Es hat sich nichts geändert.",
        ),
        "Neues Passwort wählen",
    ),
    Kind.PASSWORD_CHANGED: Template(
        "Ihr Passwort für {tenant} wurde geändert",
        (
            "Guten Tag {name},",
            "das Passwort Ihres Kontos bei {tenant} wurde geändert, und alle Sitzungen wurden beendet.",
            "Wenn Sie es nicht waren, informieren Sie sofort Ihren Administrator.",
        ),
    ),
    Kind.EMAIL_CHANGE: Template(
        "Bestätigen Sie Ihre neue Adresse für {tenant}",
        (
            "Guten Tag {name},",
            "diese Adresse soll die Ihres Kontos bei {tenant} werden. Bestätigen Sie sie über den folgenden Link. Er"
            " gilt einmal, innerhalb von {hours} Stunden.",
            "Wenn Sie davon nichts wissen, ignorieren Sie diese Nachricht: Es wird sich nichts ändern.",
        ),
        "Adresse bestätigen",
    ),
    Kind.EMAIL_CHANGE_NOTICE: Template(
        "Ihre Adresse für {tenant} soll geändert werden",
        (
            "Guten Tag {name},",
            "jemand, der als Sie angemeldet ist, möchte die E-Mail-Adresse Ihres Kontos bei {tenant} in {new_email}"
            " ändern. Sie ändert sich, sobald diese Adresse bestätigt ist.",
            "Wenn Sie es nicht waren, ändern Sie Ihr Passwort und informieren Sie sofort Ihren Administrator.",
        ),
    ),
    Kind.EMAIL_CHANGED: Template(
        "Ihre Adresse für {tenant} wurde geändert",
        (
            "Guten Tag {name},",
            "die E-Mail-Adresse Ihres Kontos bei {tenant} ist jetzt {new_email}. Damit melden Sie sich künftig an.",
            "Wenn Sie es nicht waren, informieren Sie sofort Ihren Administrator.",
        ),
    ),
    Kind.LEAD: Template(
        "Neue Anfrage: {lead_name}",
        (
            "Jemand hat eine Anfrage an {tenant} hinterlassen.",
            "Name: {lead_name}\nE-Mail: {lead_email}\nTelefon: {lead_phone}\nFirma: {lead_company}\n"
            "Formular: {source}\nEinwilligung: {consent}",
            "{message}",
        ),
    ),
}
