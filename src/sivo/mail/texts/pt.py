"""Mails in Portuguese."""

from __future__ import annotations

from sivo.mail.template import Kind, Template

TEXTS: dict[Kind, Template] = {
    Kind.INVITATION: Template(
        "A sua conta em {tenant}",
        (
            "Olá {name},",
            "{tenant} criou uma conta para si. Escolha a sua palavra-passe com a ligação abaixo. Serve uma só vez,"
            " durante {days} dias.",
            "Se não esperava esta mensagem, pode ignorá-la.",
        ),
        "Escolher palavra-passe",
    ),
    Kind.PASSWORD_RESET: Template(
        "Nova palavra-passe para {tenant}",
        (
            "Olá {name},",
            "Alguém pediu uma nova palavra-passe para a sua conta em {tenant}. Se foi você, escolha-a com a ligação"
            " abaixo. Serve uma só vez, durante {minutes} minutos.",
            "Se não foi você, ignore esta mensagem: nada mudou.",
        ),
        "Escolher nova palavra-passe",
    ),
    Kind.PASSWORD_CHANGED: Template(
        "A sua palavra-passe de {tenant} foi alterada",
        (
            "Olá {name},",
            "A palavra-passe da sua conta em {tenant} foi alterada e todas as sessões foram terminadas.",
            "Se não foi você, avise já o seu administrador.",
        ),
    ),
    Kind.EMAIL_CHANGE: Template(
        "Confirme o seu novo endereço para {tenant}",
        (
            "Olá {name},",
            "Este endereço vai passar a ser o da sua conta em {tenant}. Confirme-o com a ligação abaixo. Serve uma só"
            " vez, durante {hours} horas.",
            "Se não sabe de nada, ignore esta mensagem: nada vai mudar.",
        ),
        "Confirmar o endereço",
    ),
    Kind.EMAIL_CHANGE_NOTICE: Template(
        "O seu endereço de {tenant} está prestes a mudar",
        (
            "Olá {name},",
            "Alguém com a sua sessão iniciada pediu para mudar o endereço de e-mail da sua conta em {tenant} para"
            " {new_email}. Muda quando esse endereço for confirmado.",
            "Se não foi você, mude a palavra-passe e avise já o seu administrador.",
        ),
    ),
    Kind.EMAIL_CHANGED: Template(
        "O seu endereço de {tenant} foi alterado",
        (
            "Olá {name},",
            "O endereço de e-mail da sua conta em {tenant} é agora {new_email}. É com ele que passa a iniciar sessão.",
            "Se não foi você, avise já o seu administrador.",
        ),
    ),
    Kind.LEAD: Template(
        "Novo pedido: {lead_name}",
        (
            "Alguém deixou um pedido a {tenant}.",
            "Nome: {lead_name}\nE-mail: {lead_email}\nTelefone: {lead_phone}\nEmpresa: {lead_company}\n"
            "Formulário: {source}\nConsentimento: {consent}",
            "{message}",
        ),
    ),
}
