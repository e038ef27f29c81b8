"""What a person uploads, hears, draws or runs is not on the wire."""

from __future__ import annotations

import base64
import re
import secrets
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from starlette.staticfiles import StaticFiles

from doubles.serving import serving
from e2e.editions import Edition, python_of
from e2e.stack import wait_until
from e2e.walks import Walk, either_way

UPLOAD = "input[type=file][multiple]"
SECONDS = 60
# What the older page says to the double's bytes, which are no sound.
NO_AUDIO = "Failed to load because no supported source was found."
SIDE = 8
MEGABYTE = 1 << 20
LARGE = 100 * MEGABYTE
SLACK = 64 * MEGABYTE
# Uploads so much of a text, and says what progress was told.
UPLOAD_LARGE = """([path, text, size, name, type]) => new Promise((resolve, reject) => {
    const block = text.repeat(Math.ceil(65536 / text.length)).slice(0, 65536);
    const form = new FormData();
    form.append('file', new File(Array(size / 65536).fill(block), name, {type}), name);
    const told = [];
    const request = new XMLHttpRequest();
    request.upload.onprogress = ({loaded, total}) => told.push(loaded / total);
    request.onerror = () => reject(new Error('upload failed'));
    request.onload = () => {
        resolve({status: request.status, told, id: JSON.parse(request.response).id});
    };
    request.open('POST', path);
    request.setRequestHeader('authorization', `Bearer ${localStorage.token}`);
    request.send(form);
})"""
# Downloads it as a stream, and says how much of it was as it should be, in how many pieces.
DOWNLOAD_LARGE = """async ([id, text]) => {
    const headers = {authorization: `Bearer ${localStorage.token}`};
    const answer = await fetch(`/api/v1/files/${id}/content`, {headers});
    const length = Number(answer.headers.get('content-length'));
    const block = new TextEncoder().encode(
        text.repeat(Math.ceil(65536 / text.length)).slice(0, 65536)
    );
    const reader = answer.body.getReader();
    let [size, right, pieces] = [0, 0, 0];
    for (;;) {
        const {done, value} = await reader.read();
        if (done) return {size, right, pieces, length};
        pieces += 1;
        for (const byte of value) if (byte === block[size++ % 65536]) right += 1;
    }
}"""
# Uploads a picture, and shows it by its address alone: what the worker is for.
SHOW_PICTURE = """(async ([path, name, base64]) => {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const form = new FormData();
    form.append('file', new File([bytes], name, {type: 'image/png'}));
    const headers = {authorization: `Bearer ${localStorage.token}`};
    const answer = await fetch(path, {method: 'POST', headers, body: form});
    const image = new Image();
    image.src = `/api/v1/files/${(await answer.json()).id}/content`;
    await image.decode();
    return image.naturalWidth;
})"""
# Keeps the text of whatever the page makes an address for.
KEEP_BLOBS = """() => {
    const make = URL.createObjectURL;
    window.__blobs = '';
    URL.createObjectURL = (blob) => {
        blob.text?.().then((text) => { window.__blobs += text; });
        return make.call(URL, blob);
    };
}"""


def picture(words: str) -> bytes:
    """A PNG of noise, SIDE pixels wide and high, with these words in it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = b"".join(b"\0" + secrets.token_bytes(3 * SIDE) for _ in range(SIDE))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0))
    text = chunk(b"tEXt", b"Comment\0" + words.encode())
    body = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + text + body


def file_named(walk: Walk, name: str) -> dict[str, Any]:
    """The server's entry of a file, once it is there."""

    def find() -> dict[str, Any] | None:
        answer = walk.site.backend.call("GET", "/api/v1/files/").json()
        files = answer["items"] if isinstance(answer, dict) else answer
        return next((each for each in files if each["filename"] == name), None)

    return dict(wait_until(find, f"the file {name}", seconds=SECONDS))


def asked_about(walk: Walk, words: str) -> bool:
    """Whether a model was told these words."""
    return any(words in str(asked) for asked in walk.site.asked())


def expect_loaded(page: Page, selector: str) -> None:
    """Wait until a picture is there, and not only its frame."""
    image = page.locator(selector).last
    expect(image).to_be_visible()
    expect(image).to_have_js_property("complete", True)
    assert image.evaluate("(image) => image.naturalWidth") > 0


@either_way
def test_a_file_goes_up_into_a_chat_and_comes_down(walk: Walk, tmp_path: Path) -> None:
    name, words, prompt = walk.plant("file"), walk.plant("words"), walk.plant("prompt")
    chat = walk.open()
    page = chat.page
    content = f"The word is {words}.\n".encode()
    sent = {"name": f"{name}.txt", "mimeType": "text/plain", "buffer": content}
    page.locator(UPLOAD).first.set_input_files(sent)
    expect(page.get_by_text(name).first).to_be_visible()
    file_id = walk.hide("file id", file_named(walk, f"{name}.txt")["id"])
    expect(page.locator("form [class^=spinner_]")).to_have_count(0)
    chat.send(f"Say {prompt}.")
    chat.expect_reply(prompt)
    assert asked_about(walk, words)

    path = f"/api/v1/files/{file_id}/content"
    link = f"""() => {{
        const link = document.createElement('a');
        Object.assign(link, {{href: '{path}', download: ''}});
        document.body.append(link);
        link.click();
    }}"""
    ways = [link]
    if chat.front_end.attaches:
        ways.append(f"() => location.assign('{path}?attachment=true')")
    for way in ways:
        with page.expect_download() as saving:
            page.evaluate(way)
        saving.value.save_as(tmp_path / "saved")
        assert (tmp_path / "saved").read_bytes() == content
    # In a tab of its own, for which the browser asks for an icon.
    shown = walk.tab()
    shown.goto(f"{walk.url}{path}")
    expect(shown.get_by_text(words)).to_be_visible()
    assert chat.errors == []


def test_a_picture_is_shown_to_a_model(walk: Walk) -> None:
    words, prompt = walk.plant("picture"), walk.plant("prompt")
    chat = walk.open()
    page = chat.page
    sent = {"name": "a.png", "mimeType": "image/png", "buffer": picture(words)}
    page.locator(UPLOAD).first.set_input_files(sent)
    expect(page.locator(":is(#message-input-container, form) img").last).to_be_visible()
    chat.send(f"Say {prompt}.")
    chat.expect_reply(prompt)
    shown = [
        base64.b64decode(data)
        for asked in walk.site.asked()
        if prompt in str(asked)
        for data in re.findall(r"data:image/png;base64,([\w+/=]+)", str(asked))
    ]
    assert any(words.encode() in each for each in shown)
    chat.reload()
    expect_loaded(
        page, "[id^=message-] img[src*='files'], [id^=message-] img[src^='data:image/png']"
    )
    assert chat.errors == []


def test_a_reply_is_read_aloud_and_a_voice_is_heard(walk: Walk) -> None:
    answer, spoken, recording = walk.plant("answer"), walk.plant("spoken"), walk.plant("voice")
    walk.site.models(answer=f"It is {answer}.", spoken=spoken)
    chat = walk.open()
    page = chat.page
    chat.send("Speak.")
    chat.expect_reply(answer)
    page.evaluate(KEEP_BLOBS)
    page.locator("[id^='speak-button-']").last.click()
    page.wait_for_function("(answer) => window.__blobs.includes(answer)", arg=answer)

    heard = page.evaluate(
        """async (recording) => {
            const form = new FormData();
            form.append('file', new File([recording], `${recording}.wav`, {type: 'audio/wav'}));
            const headers = {authorization: `Bearer ${localStorage.token}`};
            const sent = {method: 'POST', headers, body: form};
            return await (await fetch('/api/v1/audio/transcriptions', sent)).text();
        }""",
        recording,
    )
    assert spoken in heard
    assert set(chat.errors) <= {NO_AUDIO}


def test_somebody_speaks(walk: Walk) -> None:
    """By the browser's own imitation of a microphone (browser.py)."""
    spoken = walk.plant("spoken")
    walk.site.models(spoken=f"Say {spoken}.")
    walk.context.grant_permissions(["microphone"], origin=walk.url)
    chat = walk.open()
    chat.page.locator("#voice-input-button").click()
    chat.page.wait_for_timeout(2_000)  # of a recording
    chat.page.locator(chat.front_end.end_recording).click()
    expect(chat.input).to_contain_text(spoken)
    assert chat.errors == []


@pytest.fixture
def whole_front_end(walk: Walk, edition: Edition, webui_python: Path) -> Iterator[None]:
    """The page has all that runs Python in it.

    What is built here lacks what its builders download; it is in the stock wheel of that version.
    """
    if edition.way == "plugin":
        yield
        return
    python = python_of(Edition("plugin", edition.version), edition, webui_python)
    (stock,) = python.parent.parent.glob("lib/python3*/site-packages/open_webui/frontend")
    with serving(lambda _: StaticFiles(directory=stock)) as url:
        walk.site.wire.servers = {"/pyodide/": url}
        yield
        walk.site.wire.servers = {}


@pytest.mark.usefixtures("whole_front_end")
def test_code_runs_in_the_page(walk: Walk) -> None:
    words = walk.plant("code")
    walk.site.models(answer=f"```python\nprint(2 * '{words} ')\n```")
    chat = walk.open()
    chat.send("Write a program.")
    chat.expect_reply(words)
    chat.page.get_by_role("button", name="Run", exact=True).last.click()
    expect(chat.page.get_by_text(f"{words} {words}").last).to_be_visible(timeout=90_000)
    assert chat.errors == []


def peak(walk: Walk) -> int:
    """The most memory, in bytes, that the server had at once since this was last asked."""
    processes = [
        each for each in Path("/proc").glob("[0-9]*") if is_of(each, walk.site.backend.pid)
    ]
    peaks = []
    for each in processes:
        status = (each / "status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        peaks.append(int(found[1]) * 1024 if found else 0)
        (each / "clear_refs").write_text("5")  # proc_pid_clear_refs(5): begin anew
    return max(peaks)


def is_of(process: Path, group: int) -> bool:
    """Whether this process is of that group: of one server."""
    try:
        fields = (process / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False  # it has ended
    return int(fields[2]) == group


def test_much_goes_up_and_down_in_flat_memory(walk: Walk) -> None:
    words, name = walk.plant("much"), walk.plant("name")
    walk.whole = True  # as the text is everywhere in it
    chat = walk.open()
    path = chat.front_end.upload
    # A version that looks into every file gives up on a large recording.
    kind = "application/octet-stream" if "process=false" in path else "audio/mpeg"
    filename = f"{name}.mp3"

    # What open-webui itself takes for that much.
    peak(walk)
    plain = {"file": (filename, words.encode() * (LARGE // len(words)), kind)}
    walk.site.backend.call("POST", path, files=plain, timeout=120).raise_for_status()
    taken = peak(walk)

    done = chat.page.evaluate(UPLOAD_LARGE, [path, f"{words} ", LARGE, filename, kind])
    assert done["status"] == 200
    told = done["told"]
    assert len(told) > 3, "no progress was shown"
    assert told == sorted(told)
    assert told[-1] == 1
    got = chat.page.evaluate(DOWNLOAD_LARGE, [done["id"], f"{words} "])
    assert got["size"] == got["right"] == got["length"] == LARGE
    assert got["pieces"] > 100, "it came at once"
    assert peak(walk) < taken + SLACK
    assert chat.errors == []
