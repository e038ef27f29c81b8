"""What a person keeps, finds, shares and throws away is not on the wire."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from e2e.browser import ChatPage
from e2e.walks import FOLLOW_UPS, TAGS, TITLE, Walk, either_way


def chat_of(chat: ChatPage, prompt: str) -> str:
    """Begin a chat, and return its id."""
    chat.send(f"Say {prompt}.")
    chat.expect_reply(prompt)
    return chat.page.url.rpartition("/")[2]


def open_side_bar(chat: ChatPage) -> None:
    """Load the page with the list of chats beside it."""
    chat.page.evaluate("localStorage.sidebar = 'true'")
    chat.reload()


def open_data_controls(chat: ChatPage) -> None:
    """Open the part of the settings that imports and exports chats."""
    chat.open_settings()
    chat.page.locator(".modal").get_by_text(chat.front_end.chats_settings, exact=True).first.click()


@either_way
def test_a_chat_gets_a_title_and_tags(walk: Walk) -> None:
    prompt, title, tag = walk.plant("prompt"), walk.plant("title"), walk.plant("tag").lower()
    walk.hide("tag", tag)
    named = {TITLE: json.dumps({"title": f"About {title}"}), TAGS: json.dumps({"tags": [tag]})}
    walk.site.models(answers=named)
    chat = walk.open()
    chat_id = chat_of(chat, prompt)
    expect(chat.page).to_have_title(re.compile(f"About {title[:10]}"))  # a long one is cut
    open_side_bar(chat)
    expect(chat.page.locator("#sidebar").get_by_text(f"About {title}").first).to_be_visible()
    tags = walk.ask(chat.page, "GET", f"/api/v1/chats/{chat_id}/tags")
    assert [each["name"] for each in tags] == [tag]
    assert chat.errors == []


@pytest.mark.way("plugin")  # the older page proposes nothing
def test_what_one_might_ask_next_is_proposed(walk: Walk) -> None:
    prompt, question = walk.plant("prompt"), walk.plant("question")
    walk.site.models(answers={FOLLOW_UPS: json.dumps({"follow_ups": [f"What is {question}?"]})})
    chat = walk.open()
    chat_of(chat, prompt)
    chat.page.get_by_text(f"What is {question}?").first.click()
    chat.expect_reply(question)
    assert chat.errors == []


def test_a_question_in_the_address_is_asked(walk: Walk) -> None:
    """Or written down for the person to send. Not at a first visit, before there is a worker."""
    walk.open()
    words = walk.plant("words")
    chat = walk.chat()
    chat.page.goto(f"{walk.url}/?q=Say+{words}")
    expect(chat.page.get_by_text(f"Say {words}").first).to_be_visible(timeout=45_000)
    assert chat.errors == []


def test_chats_are_sorted_shared_and_deleted(walk: Walk) -> None:
    prompt, name, other = walk.plant("prompt"), walk.plant("folder"), walk.plant("other")
    chat = walk.open()
    chat_id = walk.hide("chat", chat_of(chat, prompt))
    page = chat.page
    folder = walk.ask(page, "POST", "/api/v1/folders/", {"name": name})
    walk.hide("folder id", folder["id"])
    walk.ask(page, "POST", f"/api/v1/chats/{chat_id}/folder", {"folder_id": folder["id"]})
    walk.ask(page, "POST", f"/api/v1/folders/{folder['id']}/update", {"name": other})
    open_side_bar(chat)
    folders = page.get_by_role("button", name="Folders", exact=True)
    if folders.count():  # versions that list them apart show none at first
        folders.click()
    expect(page.locator("#sidebar").get_by_text(other).first).to_be_visible()

    walk.ask(page, "POST", f"/api/v1/chats/{chat_id}/share")
    shared = walk.ask(page, "GET", f"/api/v1/chats/{chat_id}")["share_id"]
    walk.hide("share", shared)
    reader = walk.tab()
    reader.goto(f"{walk.url}/s/{shared}")
    expect(reader.get_by_text(f"You said: Say {prompt}.").first).to_be_visible(timeout=45_000)

    walk.ask(page, "DELETE", f"/api/v1/chats/{chat_id}")
    page.goto(f"{walk.url}/c/{chat_id}")
    expect(chat.input).to_be_visible(timeout=45_000)
    expect(page.get_by_text(prompt)).to_have_count(0)
    assert chat.errors == []


def test_chats_are_exported_and_imported(walk: Walk, tmp_path: Path) -> None:
    prompt, other = walk.plant("prompt"), walk.plant("other")
    chat = walk.open()
    chat_of(chat, prompt)
    open_data_controls(chat)
    export = chat.front_end.export
    with chat.page.expect_download() as saving:
        chat.page.locator(".modal").get_by_text(export, exact=True).first.click()
    saving.value.save_as(tmp_path / "chats.json")
    exported = (tmp_path / "chats.json").read_text()
    assert prompt in exported

    [kept, *_] = [each for each in json.loads(exported) if prompt in json.dumps(each)]
    (tmp_path / "other.json").write_text(json.dumps([kept]).replace(prompt, other))
    chat.page.locator("#chat-import-input").set_input_files(tmp_path / "other.json")
    walk.wait_until_kept(chat.page, "/api/v1/chats/all", other)
    assert chat.errors == []


@either_way
def test_settings_are_saved(walk: Walk) -> None:
    words = walk.plant("system")
    chat = walk.open()
    chat.show_parameters()
    chat.system_prompt.fill(f"Be {words}.")
    chat.page.get_by_role("button", name="Save", exact=True).click()
    walk.wait_until_kept(chat.page, "/api/v1/users/user/settings", words)
    chat.reload()
    chat.show_parameters()
    expect(chat.system_prompt).to_have_value(f"Be {words}.")
    chat.system_prompt.fill("")
    chat.page.get_by_role("button", name="Save", exact=True).click()
    assert chat.errors == []


def test_an_administrator_looks_at_people_and_connections(walk: Walk) -> None:
    name, mail, password = walk.plant("Eve"), walk.plant("mail"), walk.plant("password")
    key = walk.plant("key")
    chat = walk.open()
    page = chat.page
    account = {"name": name, "email": f"{mail}@example.com", "password": password, "role": "user"}
    walk.ask(page, "POST", "/api/v1/auths/add", account)
    page.goto(f"{walk.url}/admin/users")
    expect(page.get_by_text(name).first).to_be_visible()
    expect(page.get_by_text(f"{mail}@example.com").first).to_be_visible()

    settings = walk.ask(page, "GET", "/openai/config")
    before = settings["OPENAI_API_KEYS"]
    walk.ask(page, "POST", "/openai/config/update", {**settings, "OPENAI_API_KEYS": [key]})
    assert walk.ask(page, "GET", "/openai/config")["OPENAI_API_KEYS"] == [key]
    page.goto(f"{walk.url}/admin/settings")
    expect(page.get_by_text("Connections", exact=True).first).to_be_visible()
    walk.ask(page, "POST", "/openai/config/update", {**settings, "OPENAI_API_KEYS": before})
    assert chat.errors == []


@either_way
def test_people_write_in_a_channel(walk: Walk) -> None:
    name, words = walk.plant("channel"), walk.plant("words")
    chat, other = walk.open(), walk.chat()
    channel = walk.ask(chat.page, "POST", "/api/v1/channels/create", {"name": name.lower()})
    walk.hide("channel id", channel["id"])
    for tab in (chat, other):
        tab.page.goto(f"{walk.url}/channels/{channel['id']}")
        expect(tab.page.locator(".ProseMirror").last).to_be_visible(timeout=45_000)
    chat.page.locator(".ProseMirror").last.click()
    chat.page.keyboard.insert_text(f"Hello {words}.")
    chat.page.keyboard.press("Enter")
    for tab in (chat, other):  # the other one hears of it as of an event
        expect(tab.page.get_by_text(f"Hello {words}.").first).to_be_visible()
    assert chat.errors == other.errors == []


@pytest.mark.way("plugin")  # the older version has none
def test_a_note_is_written(walk: Walk) -> None:
    title, words = walk.plant("title"), walk.plant("words")
    chat = walk.open()
    empty = {"title": title, "data": {"content": {"json": None, "html": "", "md": ""}}}
    note = walk.ask(chat.page, "POST", "/api/v1/notes/create", empty)
    walk.hide("note", note["id"])
    chat.page.goto(f"{walk.url}/notes/{note['id']}")
    editor = chat.page.locator(".ProseMirror").first
    expect(editor).to_be_visible(timeout=45_000)
    editor.click()
    chat.page.keyboard.insert_text(f"Remember {words}.")
    walk.wait_until_kept(chat.page, f"/api/v1/notes/{note['id']}", words)
    chat.page.reload()
    expect(chat.page.locator(".ProseMirror").first).to_contain_text(words)
    assert chat.errors == []


def test_prompts_and_knowledge_are_kept(walk: Walk) -> None:
    name, words = walk.plant("prompt"), walk.plant("words")
    about = walk.plant("about")
    chat = walk.open()
    page = chat.page
    command = chat.front_end.command.format(name=name)
    prompt = {"command": command, "title": name, "name": name, "content": f"Say {words}."}
    walk.ask(page, "POST", "/api/v1/prompts/create", prompt)
    page.goto(f"{walk.url}/workspace/prompts")
    expect(page.get_by_text(name).first).to_be_visible()

    form = {"name": f"Of {about}", "description": f"All of {about}"}
    walk.ask(page, "POST", "/api/v1/knowledge/create", form)
    page.goto(f"{walk.url}/workspace/knowledge")
    expect(page.get_by_text(f"Of {about}").first).to_be_visible()

    chat.open()
    chat.input.click()
    page.keyboard.type(f"/{name}")
    page.locator("#suggestions-container, #commands-container").get_by_text(name).first.click()
    expect(chat.input).to_contain_text(words)
    assert chat.errors == []
