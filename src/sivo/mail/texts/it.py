"""Mails in Italian."""

from __future__ import annotations

from sivo.mail.template import Kind, Template

TEXTS: dict[Kind, Template] = {
    Kind.INVITATION: Template(
        "Il tuo account presso {tenant}",
        (
            "Ciao {name},",
            "{tenant} ha creato un account per te. Scegli la password con il link qui sotto. Vale una sola volta, entro"
            " {days} giorni.",
            "Se non aspettavi questo messaggio, puoi ignorarlo.",
        ),
        "Scegli la password",
    ),
    Kind.PASSWORD_RESET: Template(
        "Nuova password per {tenant}",
        (
            "Ciao {name},",
            "Qualcuno ha chiesto una nuova password per il tuo account presso {tenant}. Se sei stato tu, sceglila con"
            " il link qui sotto. Vale una sola volta, entro {minutes} minuti.",
            "Se non sei stato tu, ignora questo messaggio: non è cambiato nulla.",
        ),
        "Scegli una nuova password",
    ),
    Kind.PASSWORD_CHANGED: Template(
        "La tua password per {tenant} è stata cambiata",
        (
            "Ciao {name},",
            "La password del tuo account presso {tenant} è stata cambiata e tutte le sessioni sono state chiuse.",
            "Se non sei stato tu, avvisa subito il tuo amministratore.",
        ),
    ),
    Kind.EMAIL_CHANGE: Template(
        "Conferma il tuo nuovo indirizzo per {tenant}",
        (
            "Ciao {name},",
            "Questo indirizzo diventerà quello del tuo account presso {tenant}. Confermalo con il link qui sotto. Vale"
            " una sola volta, entro {hours} ore.",
            "Se non ne sai nulla, ignora questo messaggio: non cambierà nulla.",
        ),
        "Conferma l'indirizzo",
    ),
    Kind.EMAIL_CHANGE_NOTICE: Template(
        "Il tuo indirizzo per {tenant} sta per cambiare",
        (
            "Ciao {name},",
            "Qualcuno con la tua sessione ha chiesto di cambiare l'indirizzo e-mail del tuo account presso {tenant} in"
            " {new_email}. Cambierà quando quell'indirizzo sarà confermato.",
            "Se non sei stato tu, cambia la password e avvisa subito il tuo amministratore.",
        ),
    ),
    Kind.EMAIL_CHANGED: Template(
        "Il tuo indirizzo per {tenant} è stato cambiato",
        (
            "Ciao {name},",
            "L'indirizzo e-mail del tuo account presso {tenant} è ora {new_email}. D'ora in poi accedi con questo.",
            "Se non sei stato tu, avvisa subito il tuo amministratore.",
        ),
    ),
    Kind.LEAD: Template(
        "Nuova richiesta: {lead_name}",
        (
            "Qualcuno ha lasciato una richiesta a {tenant}.",
            "Nome: {lead_name}\nE-mail: {lead_email}\nTelefono: {lead_phone}\nAzienda: {lead_company}\n"
            "Modulo: {source}\nConsenso: {consent}",
            "{message}",
        ),
    ),
}
