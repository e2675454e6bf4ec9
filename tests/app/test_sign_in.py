"""Nobody sees a page before signing in where that is asked; a viewer sees and changes nothing; addresses have roles."""

from __future__ import annotations

import pytest
import streamlit as st

from app import sign_in
from seminar_core import access
from seminar_core.errors import ConfigError, NotAllowedError
from seminar_core.jobs import control
from tests.app.conftest import words_of

AUTH = {
    "redirect_uri": "http://localhost:8501/oauth2callback",
    "cookie_secret": "x" * 32,
    "client_id": "id",
    "client_secret": "secret",
    "server_metadata_url": "http://127.0.0.1:9/.well-known/openid-configuration",
}
ROLES = {"operator": ["Ada@Example.org", "@lab.example.org"], "viewer": ["@example.org", "eve@lab.example.org"]}


class User(dict):
    def to_dict(self) -> dict:
        return dict(self)


@pytest.fixture
def signed_in(monkeypatch, open_app, tiny_workspace):
    """`signed_in(email="ada@example.org")` opens Data as that person; without an address nobody has signed in."""
    monkeypatch.setattr(access, "_ask", [access.local_person])
    monkeypatch.delenv(access.READ_ONLY, raising=False)

    def open_it(email: str | None = None, *, verified: object = True, roles: object = ROLES, auth: object = AUTH):
        claims = {} if email is None else {"email": email, "email_verified": verified}
        monkeypatch.setattr(st, "user", User(is_logged_in=email is not None, **claims))
        monkeypatch.setattr(st, "secrets", {"auth": auth, "roles": roles})
        return open_app(tiny_workspace, "data", dataset="tiny")

    return open_it


def seen(at) -> bool:
    """Whether anything of the data is on the page."""
    return bool(at.metric) or "tiny" in words_of(at) or any("tiny" in str(box.options) for box in at.selectbox)


@pytest.mark.parametrize(
    ("email", "role"),
    [
        ("ada@example.org", "operator"),
        ("ADA@example.ORG ", "operator"),
        ("bob@lab.example.org", "operator"),
        ("eve@lab.example.org", "viewer"),  # named, before the domain
        ("bob@example.org", "viewer"),
        ("bob@other.example.org", "nobody"),
        ("ada@example.org.evil", "nobody"),
        ("example.org", "nobody"),
        ("@example.org", "viewer"),
        ("", "nobody"),
    ],
)
def test_an_address_has_the_role_of_its_entry_else_of_its_domain_else_none(email, role):
    assert sign_in.role_of(email, ROLES) == role
    assert sign_in.role_of(email, {}) == "nobody"


@pytest.mark.parametrize("roles", [{"operators": []}, {"viewer": "ada@example.org"}, {"operator": ["ada"]}])
def test_roles_that_mean_nothing_let_nobody_in_and_are_named(signed_in, roles):
    with pytest.raises(ConfigError, match=r"\[roles\]"):
        sign_in.role_of("ada@example.org", roles)
    at = signed_in("ada@example.org", roles=roles)
    assert "[roles]" in words_of(at) and not seen(at) and not at.exception


def test_who_has_not_signed_in_sees_a_button_and_no_data(signed_in):
    at = signed_in()
    assert at.button(key="sign_in_").label == "Sign in" and not seen(at)
    named = signed_in(auth=AUTH | {"example": {"client_id": "x"}, "client_kwargs": {"scope": "email"}})
    assert [button.label for button in named.button] == ["Sign in with example"]


def test_who_has_no_role_or_an_address_that_was_not_confirmed_sees_no_data(signed_in):
    for email, verified in (("mallory@evil.example", True), ("ada@example.org", False), ("ada@example.org", "false")):
        at = signed_in(email, verified=verified)
        assert "has no role here" in words_of(at) and not seen(at) and at.button(key="sign_out")
    assert seen(signed_in("ada@example.org", verified=None, roles=ROLES | {"unverified": True}))


def test_a_viewer_reads_and_may_change_nothing_an_operator_may(signed_in, tiny_workspace):
    at = signed_in("bob@example.org")
    assert seen(at) and "bob@example.org · viewer" in words_of(at)
    assert "Only an operator may import data here." in words_of(at) and not at.file_uploader
    with pytest.raises(NotAllowedError, match=r"bob@example\.org is a viewer"):
        control.start(tiny_workspace, ["pretrain", "--dataset", "tiny", "--run", "r"])
    at = signed_in("ada@example.org")
    assert "ada@example.org · operator" in words_of(at) and len(at.file_uploader) == 2
    assert access.person() == access.Person("ada@example.org", "operator")


def test_read_only_makes_an_operator_a_viewer(signed_in, monkeypatch):
    signed_in("ada@example.org")
    monkeypatch.setenv(access.READ_ONLY, "1")
    assert access.person() == access.Person("ada@example.org", "viewer") and not access.may_operate()


def test_without_the_section_auth_nobody_is_asked(signed_in):
    at = signed_in(auth={})
    assert seen(at) and not [button for button in at.button if button.key == "sign_out"]
    assert access.person() == access.local_person()
