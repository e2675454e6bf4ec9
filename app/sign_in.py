"""Who is there: Streamlit's OIDC sign-in and the roles that e-mail addresses have, where secrets.toml has [auth].

Without [auth] everybody is the person who runs the server, an operator (a viewer with `--read-only`), as on the
command line. With it nobody sees anything before signing in, and what an address may do stands in [roles]:

    [roles]
    operator = ["ada@example.org"]
    viewer = ["@example.org"]        # every address of that domain

An address that stands in neither list may do nothing: with a public provider anybody can sign in. The core asks for
the person of the moment (`seminar_core.access`), so that a button that was forgotten changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from app import widgets
from seminar_core.access import NOBODY, OPERATOR, VIEWER, Person, ask_with, local_person, read_only
from seminar_core.errors import ConfigError, SeminarError

UNVERIFIED = "unverified"
KEYS = (OPERATOR, VIEWER, UNVERIFIED)
STRANGER = "somebody who has not signed in"


def secrets(section: str) -> Mapping[str, Any]:
    """A section of secrets.toml; empty where there is no such file or section."""
    try:
        found = st.secrets.get(section, {})
    except FileNotFoundError:
        return {}
    if not isinstance(found, Mapping):
        raise ConfigError(f"{section} in secrets.toml is {found!r}, expected a table", hint=f"write [{section}]")
    return found


def required() -> bool:
    """Whether this server asks people to sign in."""
    return bool(secrets("auth"))


def role_of(email: str, roles: Mapping[str, Any]) -> str:
    """The role of an address: an address that is named comes before a domain, an operator before a viewer.

    Raises:
        ConfigError: [roles] holds something else than lists of addresses and domains.
    """
    lists = checked_roles(roles)
    address = email.strip().casefold()
    for wanted in (address, address[address.rfind("@") :]):
        for role in (OPERATOR, VIEWER):
            if "@" in address and wanted in lists[role]:
                return role
    return NOBODY


def checked_roles(roles: Mapping[str, Any]) -> dict[str, list[str]]:
    """The two lists of [roles], folded."""
    for key in roles:
        if key not in KEYS:
            raise ConfigError(f"[roles] in secrets.toml has {key!r}", hint=f"it may have {', '.join(KEYS)}")
    lists = {}
    for role in (OPERATOR, VIEWER):
        found = roles.get(role, [])
        if isinstance(found, str) or not all(isinstance(entry, str) and "@" in entry for entry in found):
            raise ConfigError(
                f"[roles] {role} in secrets.toml is {found!r}, expected a list of addresses",
                hint=f'write {role} = ["ada@example.org", "@example.org"]',
            )
        lists[role] = [entry.strip().casefold() for entry in found]
    return lists


def person() -> Person:
    """The person of the moment, for `access.ask_with`; whoever cannot be told is nobody."""
    if not required():
        return local_person()
    user = st.user.to_dict()
    email = user.get("email")
    if not user.get("is_logged_in") or not isinstance(email, str):
        return Person(STRANGER, NOBODY)
    roles = secrets("roles")
    if user.get("email_verified") is not True and roles.get(UNVERIFIED) is not True:
        return Person(email, NOBODY)
    return Person(email, role_of(email, roles))


def admitted() -> bool:
    """Whether the page may be drawn; else what stands in its place has been drawn.

    From now on the core asks `person` who is there.
    """
    ask_with(person)
    try:
        if not required():
            return True
        who = person()
    except SeminarError as error:
        widgets.error_panel(error, key="sign_in")
        return False
    if who.role != NOBODY:
        signed_in(who)
        return True
    st.header("Sign in", anchor=False)
    if who.name == STRANGER:
        st.write("This server shows its data only to people who sign in.")
        for provider, label in providers().items():
            st.button(f"Sign in{label}", type="primary", key=f"sign_in_{provider}", on_click=log_in, args=(provider,))
    else:
        st.warning(
            f"{widgets.plain(who.name)} is signed in and has no role here, or the provider did not confirm the "
            "address. Ask whoever runs this server for a role.",
            icon=":material/lock:",
        )
        st.button("Sign out", key="sign_out", on_click=st.logout)
    return False


def providers() -> dict[str, str]:
    """Named identity providers with what their button adds; "" where [auth] itself is the one."""
    named = [name for name, value in secrets("auth").items() if isinstance(value, Mapping) and name != "client_kwargs"]
    return {name: f" with {name}" for name in named} or {"": ""}


def log_in(provider: str) -> None:
    """Send the browser to the identity provider."""
    st.login(provider or None)


def signed_in(who: Person) -> None:
    """Who is signed in and as what, and the way out; a viewer in read-only mode is told so."""
    role = VIEWER if read_only() else who.role
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="right"):
        st.text(f"{who.name} · {role}", width="content")
        st.button("Sign out", key="sign_out", type="tertiary", on_click=st.logout)
