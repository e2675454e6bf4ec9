"""In a real browser, with a provider of our own: sign in, see by one's role, sign out; a forged cookie is nobody's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.served import free_port, served, settled

pytestmark = pytest.mark.browser
pytest.importorskip("authlib", reason="Authlib is not installed: the extra `auth`")
from tests.browser.identity_provider import CLIENT, Provider  # noqa: E402 - needs what comes with Authlib

SECRETS = """
[auth]
redirect_uri = "{app}/oauth2callback"
cookie_secret = "0123456789abcdef0123456789abcdef"
client_id = "{client}"
client_secret = "secret"
server_metadata_url = "{provider}/.well-known/openid-configuration"

[roles]
operator = ["ada@example.org"]
viewer = ["@example.org"]
"""


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    server = Provider()
    yield server
    server.shutdown()


@pytest.fixture(scope="module")
def address(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the app is served that asks people to sign in."""
    folder = tmp_path_factory.mktemp("sign_in")
    port = free_port()
    app = f"http://127.0.0.1:{port}"
    secrets = folder / "secrets.toml"
    secrets.write_text(SECRETS.format(app=app, client=CLIENT, provider=provider.address))
    with served(folder / "workspace", folder / "log", "--secrets.files", str(secrets), port=port) as (_, found):
        yield found
    print(Path(folder / "log").read_text(errors="replace")[-4000:])


def test_people_sign_in_see_by_their_role_and_sign_out(chromium, provider: Provider, address: str):
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(60_000)
    page = context.new_page()
    for email, verified, bring in (
        ("bob@example.org", True, "Only an operator may import data here."),
        ("ada@example.org", True, "Check and import"),
        ("mallory@evil.example", True, None),
        ("ada@example.org", False, None),
    ):
        provider.claims = {"email": email, "email_verified": verified}
        page.goto(f"{address}/data?dataset=sample")
        settled(page)
        assert page.get_by_text("median", exact=False).count() == 0 and not page.get_by_role("tab").count()
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("button", name="Sign out").wait_for()
        page.goto(f"{address}/data?dataset=sample")
        settled(page)
        if bring is None:
            page.get_by_text("has no role here").wait_for()
            assert not page.get_by_role("tab").count()
        else:
            page.get_by_text(email).wait_for()
            page.get_by_role("tab", name="Bring your own").click()
            page.get_by_text(bring).first.wait_for()
        page.get_by_role("button", name="Sign out").click()
        page.get_by_role("button", name="Sign in").wait_for()
    context.close()


def test_a_forged_cookie_is_nobodys(chromium, address: str):
    context = chromium.new_context()
    context.set_default_timeout(60_000)
    forged = '{"email": "ada@example.org", "email_verified": true, "is_logged_in": true}'
    context.add_cookies([{"name": "_streamlit_user", "value": forged.encode().hex(), "url": address}])
    page = context.new_page()
    page.goto(f"{address}/data")
    settled(page)
    page.get_by_role("button", name="Sign in").wait_for()
    assert not page.get_by_role("tab").count()
    context.close()
