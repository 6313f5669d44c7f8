"""Mails in English."""

from __future__ import annotations

from sivo.mail.template import Kind, Template

TEXTS: dict[Kind, Template] = {
    Kind.INVITATION: Template(
        "Your account at {tenant}",
        (
            "Hello {name},",
            "{tenant} has made an account for you. Choose your password with the link below. It works once, within"
            " {days} days.",
            "If you did not expect this message, you can ignore it.",
        ),
        "Choose your password",
    ),
    Kind.PASSWORD_RESET: Template(
        "A new password for {tenant}",
        (
            "Hello {name},",
            "Somebody asked for a new password for your account at {tenant}. If it was you, choose one with the link"
            " below. It works once, within {minutes} minutes.",
            "If it was not you, ignore this message: nothing has changed.",
        ),
        "Choose a new password",
    ),
    Kind.PASSWORD_CHANGED: Template(
        "Your password for {tenant} was changed",
        (
            "Hello {name},",
            "The password of your account at {tenant} was changed, and all its sessions were ended.",
            "If it was not you, tell your administrator at once.",
        ),
    ),
    Kind.EMAIL_CHANGE: Template(
        "Confirm your new address for {tenant}",
        (
            "Hello {name},",
            "This address is to become the one of your account at {tenant}. Confirm it with the link below. It works"
            " once, within {hours} hours.",
            "If you know nothing of it, ignore this message: nothing will change.",
        ),
        "Confirm the address",
    ),
    Kind.EMAIL_CHANGE_NOTICE: Template(
        "Your address for {tenant} is about to change",
        (
            "Hello {name},",
            "Somebody signed in as you asked to change the e-mail address of your account at {tenant} to {new_email}."
            " It changes when that address is confirmed.",
            "If it was not you, change your password and tell your administrator at once.",
        ),
    ),
    Kind.EMAIL_CHANGED: Template(
        "Your address for {tenant} was changed",
        (
            "Hello {name},",
            "The e-mail address of your account at {tenant} is now {new_email}. You sign in with it from now on.",
            "If it was not you, tell your administrator at once.",
        ),
    ),
    Kind.LEAD: Template(
        "New enquiry: {lead_name}",
        (
            "Somebody left an enquiry with {tenant}.",
            "Name: {lead_name}\nE-mail: {lead_email}\nPhone: {lead_phone}\nCompany: {lead_company}\nForm: {source}\n"
            "Consent: {consent}",
            "{message}",
        ),
    ),
}
