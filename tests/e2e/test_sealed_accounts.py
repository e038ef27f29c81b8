"""Who somebody is, and by what they show it, is not on the wire: password, e-mail, token, code."""

from __future__ import annotations

import base64

import pytest
from playwright.sync_api import Page, expect

from doubles.spellings import new_canary
from e2e.browser import ChatPage, front_end_of
from e2e.editions import this_edition
from e2e.stack import Backend, wait_until
from e2e.test_sealed_files import SHOW_PICTURE, SIDE, expect_loaded, picture
from e2e.walks import Walk, either_way

# What 0.5.20's own page trips over when somebody signs out, also without the kit.
AT_SIGN_OUT = "Cannot read properties of null (reading 'role')"


def let_sign_up(backend: Backend) -> None:
    """Have the server take new accounts: the first one ends that."""
    settings = backend.call("GET", "/api/v1/auths/admin/config").json()
    settings |= {"ENABLE_SIGNUP": True, "DEFAULT_USER_ROLE": "user"}
    backend.call("POST", "/api/v1/auths/admin/config", json=settings).raise_for_status()


def close_welcome(chat: ChatPage) -> None:
    """Close what open-webui tells everybody who comes for the first time."""
    expect(chat.input).to_be_visible(timeout=45_000)
    chat.page.keyboard.press("Escape")


def fill_in(page: Page, **fields: str) -> None:
    """Fill fields of the form to sign in, by the kind of each."""
    for kind, text in fields.items():
        page.locator(f"input[type={kind}]").fill(text)
    page.locator("button[type=submit]").click()


@pytest.mark.smoke
@either_way
def test_somebody_signs_up_goes_and_comes_back(stranger: Walk) -> None:
    let_sign_up(stranger.site.backend)
    stranger.plain.add("GET /auth")  # a first visit
    name, password = stranger.plant("Eve"), stranger.plant("password")
    email = f"{stranger.plant('mail')}@example.com"
    chat = stranger.chat()
    page = chat.page
    page.goto(f"{stranger.url}/auth")
    page.get_by_role("button", name="Sign up", exact=True).click()
    fill_in(page, text=name, email=email, password=password)
    close_welcome(chat)
    chat.expect_state("green")
    stranger.hide("first token", page.evaluate("localStorage.token"))

    page.get_by_label("User Menu").or_(page.get_by_label("Open User Profile Menu")).locator(
        "visible=true"
    ).first.click()
    page.get_by_text("Sign Out", exact=True).click()
    expect(page.locator("input[type=password]")).to_be_visible(timeout=45_000)
    assert page.evaluate("localStorage.token") is None

    fill_in(page, email=email, password=new_canary("wrong"))
    expect(page.get_by_text("email or password provided is incorrect")).to_be_visible()
    fill_in(page, email=email, password=password)
    close_welcome(chat)
    expect(chat.input).to_be_visible(timeout=45_000)
    stranger.hide("second token", page.evaluate("localStorage.token"))
    chat.expect_state("green")
    # Shown by its address alone: the cookie of the sign-in went along.
    sent = base64.b64encode(picture(stranger.plant("picture"))).decode()
    upload = front_end_of(this_edition().version).upload
    shown = [upload, f"{stranger.plant('file')}.png", sent]
    assert page.evaluate(SHOW_PICTURE, shown) == SIDE
    assert set(chat.errors) <= {AT_SIGN_OUT}


def test_somebody_comes_from_another_site_where_they_are_known(stranger: Walk) -> None:
    accounts = stranger.site.accounts
    name, subject = stranger.plant("Mallory"), stranger.plant("subject")
    email = f"{stranger.plant('mail')}@example.com"
    accounts.claims = {"sub": subject, "name": name, "email": email}
    stranger.hide("secret of the client", accounts.secret)
    stranger.plain.add("GET /auth")  # a first visit
    chat = stranger.chat()
    chat.page.goto(f"{stranger.url}/auth")
    chat.page.get_by_role("button", name="Continue with Double").click()
    close_welcome(chat)
    chat.expect_state("green")

    stranger.hide("token", chat.page.evaluate("localStorage.token"))
    # The way back leads by this browser's worker, which keeps path and query.
    stranger.hide("code", list(accounts.codes)[-1])
    stranger.hide("state", accounts.states[-1])
    for number, token in enumerate(accounts.tokens[-2:]):
        stranger.hide(f"token {number}", token)
    me = chat.page.evaluate("fetch('/api/v1/auths/').then((answer) => answer.json())")
    assert (me["name"], me["email"]) == (name, email)
    assert chat.errors == []


def test_a_cookie_from_before_sealing_goes_along_no_more(stranger: Walk) -> None:
    old = new_canary("old")
    token = {"name": "token", "value": old, "url": stranger.url, "httpOnly": True}
    proxys = {"name": "proxys", "value": "own", "url": stranger.url}
    stranger.context.add_cookies([token, proxys])
    stranger.plain.add("GET /auth")  # a first visit
    page = stranger.tab()
    page.goto(f"{stranger.url}/auth")
    expect(page.locator("input[type=password]")).to_be_visible(timeout=45_000)
    wait_until(
        lambda: [each["name"] for each in stranger.context.cookies()] == ["proxys"],
        "the end of the old cookie",
        seconds=30,
    )
    assert stranger.site.wire.find(old, stranger.passed()), "it went along before"
    before = len(stranger.site.wire.messages)
    page.reload()
    fill_in(page, email=f"{stranger.plant('mail')}@example.com", password=stranger.plant("word"))
    expect(page.get_by_text("email or password provided is incorrect")).to_be_visible()
    assert stranger.site.wire.find(old, stranger.site.wire.messages[before:]) == []


def test_a_picture_of_oneself(walk: Walk) -> None:
    name, words = walk.plant("name"), walk.plant("picture")
    chat = walk.open()
    me = walk.ask(chat.page, "GET", "/api/v1/auths/")
    image = f"data:image/png;base64,{base64.b64encode(picture(words)).decode()}"
    walk.hide("image", image[-200:])
    form = {"name": f"Admin {name}", "profile_image_url": image}
    walk.ask(chat.page, "POST", "/api/v1/auths/update/profile", form)
    chat.page.evaluate("localStorage.sidebar = 'true'")
    chat.reload()
    expect(chat.page.get_by_text(f"Admin {name}").first).to_be_visible()
    expect_loaded(chat.page, "#sidebar img:is([src*='profile/image'], [src^='data:image/png'])")
    form = {"name": me["name"], "profile_image_url": "/user.png"}
    walk.ask(chat.page, "POST", "/api/v1/auths/update/profile", form)
    assert chat.errors == []
