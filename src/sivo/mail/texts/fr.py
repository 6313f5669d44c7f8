"""Mails in French."""

from __future__ import annotations

from sivo.mail.template import Kind, Template

TEXTS: dict[Kind, Template] = {
    Kind.INVITATION: Template(
        "Votre compte chez {tenant}",
        (
            "Bonjour {name},",
            "{tenant} vous a créé un compte. Choisissez votre mot de passe avec le lien ci-dessous. Il sert une seule"
            " fois, pendant {days} jours.",
            "Si vous n'attendiez pas ce message, vous pouvez l'ignorer.",
        ),
        "Choisir un mot de passe",
    ),
    Kind.PASSWORD_RESET: Template(
        "Nouveau mot de passe pour {tenant}",
        (
            "Bonjour {name},",
            "Un nouveau mot de passe a été demandé pour votre compte chez {tenant}. Si c'est vous, choisissez-le avec"
            " le lien ci-dessous. Il sert une seule fois, pendant {minutes} minutes.",
            "Si ce n'est pas vous, ignorez ce message : rien n'a changé.",
        ),
        "Choisir un nouveau mot de passe",
    ),
    Kind.PASSWORD_CHANGED: Template(
        "Votre mot de passe pour {tenant} a été modifié",
        (
            "Bonjour {name},",
            "Le mot de passe de votre compte chez {tenant} a été modifié et toutes ses sessions ont été fermées.",
            "Si ce n'est pas vous, prévenez tout de suite votre administrateur.",
        ),
    ),
    Kind.EMAIL_CHANGE: Template(
        "Confirmez votre nouvelle adresse pour {tenant}",
        (
            "Bonjour {name},",
            "Cette adresse doit devenir celle de votre compte chez {tenant}. Confirmez-la avec le lien ci-dessous. Il"
            " sert une seule fois, pendant {hours} heures.",
            "Si vous n'en savez rien, ignorez ce message : rien ne changera.",
        ),
        "Confirmer l'adresse",
    ),
    Kind.EMAIL_CHANGE_NOTICE: Template(
        "Votre adresse pour {tenant} va changer",
        (
            "Bonjour {name},",
            "Une personne connectée en votre nom a demandé que l'adresse e-mail de votre compte chez {tenant} devienne"
            " {new_email}. Elle changera quand cette adresse sera confirmée.",
            "Si ce n'est pas vous, changez votre mot de passe et prévenez tout de suite votre administrateur.",
        ),
    ),
    Kind.EMAIL_CHANGED: Template(
        "Votre adresse pour {tenant} a été modifiée",
        (
            "Bonjour {name},",
            "L'adresse e-mail de votre compte chez {tenant} est désormais {new_email}. C'est avec elle que vous vous"
            " connectez.",
            "Si ce n'est pas vous, prévenez tout de suite votre administrateur.",
        ),
    ),
    Kind.LEAD: Template(
        "Nouvelle demande : {lead_name}",
        (
            "Quelqu'un a laissé une demande à {tenant}.",
            "Nom : {lead_name}\nE-mail : {lead_email}\nTéléphone : {lead_phone}\nSociété : {lead_company}\n"
            "Formulaire : {source}\nConsentement : {consent}",
            "{message}",
        ),
    ),
}
