"""Mails in Spanish."""

from __future__ import annotations

from sivo.mail.template import Kind, Template

TEXTS: dict[Kind, Template] = {
    Kind.INVITATION: Template(
        "Tu cuenta en {tenant}",
        (
            "Hola, {name}:",
            "{tenant} te ha creado una cuenta. Elige tu contraseña con el enlace de abajo. Sirve una sola vez, durante"
            " {days} días.",
            "Si no esperabas este mensaje, puedes ignorarlo.",
        ),
        "Elegir contraseña",
    ),
    Kind.PASSWORD_RESET: Template(
        "Nueva contraseña para {tenant}",
        (
            "Hola, {name}:",
            "Alguien ha pedido una nueva contraseña para tu cuenta en {tenant}. Si has sido tú, elígela con el enlace"
            " de abajo. Sirve una sola vez, durante {minutes} minutos.",
            "Si no has sido tú, ignora este mensaje: no ha cambiado nada.",
        ),
        "Elegir nueva contraseña",
    ),
    Kind.PASSWORD_CHANGED: Template(
        "Se ha cambiado tu contraseña de {tenant}",
        (
            "Hola, {name}:",
            "Se ha cambiado la contraseña de tu cuenta en {tenant} y se han cerrado todas sus sesiones.",
            "Si no has sido tú, avisa enseguida a tu administrador.",
        ),
    ),
    Kind.EMAIL_CHANGE: Template(
        "Confirma tu nueva dirección para {tenant}",
        (
            "Hola, {name}:",
            "Esta dirección va a ser la de tu cuenta en {tenant}. Confírmala con el enlace de abajo. Sirve una sola"
            " vez, durante {hours} horas.",
            "Si no sabes nada de esto, ignora este mensaje: no cambiará nada.",
        ),
        "Confirmar la dirección",
    ),
    Kind.EMAIL_CHANGE_NOTICE: Template(
        "Tu dirección de {tenant} está a punto de cambiar",
        (
            "Hola, {name}:",
            "Alguien con tu sesión iniciada ha pedido cambiar la dirección de correo de tu cuenta en {tenant} a"
            " {new_email}. Cambiará cuando se confirme esa dirección.",
            "Si no has sido tú, cambia tu contraseña y avisa enseguida a tu administrador.",
        ),
    ),
    Kind.EMAIL_CHANGED: Template(
        "Se ha cambiado tu dirección de {tenant}",
        (
            "Hola, {name}:",
            "La dirección de correo de tu cuenta en {tenant} es ahora {new_email}. Con ella inicias sesión a partir de"
            " ahora.",
            "Si no has sido tú, avisa enseguida a tu administrador.",
        ),
    ),
    Kind.LEAD: Template(
        "Nueva solicitud: {lead_name}",
        (
            "Alguien ha dejado una solicitud para {tenant}.",
            "Nombre: {lead_name}\nCorreo: {lead_email}\nTeléfono: {lead_phone}\nEmpresa: {lead_company}\n"
            "Formulario: {source}\nConsentimiento: {consent}",
            "{message}",
        ),
    ),
}
