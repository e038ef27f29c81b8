"""docs/deploy.md, command by command, and what comes of it: open-webui behind nginx.

The commands run as root, at the paths that the page names, in a root of their own: an overlay over
this machine's, whose changes go to memory and are gone afterwards. The TD is simulated. What is not
run says why in a comment before it; in the place of the large environment stands the tests' own.

Slower, and with the packages too, in a fresh Debian (some minutes):

    debootstrap --variant=minbase --include=systemd,udev,ca-certificates,iproute2 bookworm FOLDER
    CCZOO_FRESH_ROOT=FOLDER pytest tests/installer/test_deploy_page.py
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

from preparation import editions

REPO = Path(__file__).resolve().parents[2]
PAGE = REPO / "docs" / "deploy.md"
WEBUI = REPO / ".venv-webui" / f"{editions.versions(editions.PLUGIN)[-1]}-{editions.PLUGIN}"
FRESH = os.environ.get("CCZOO_FRESH_ROOT", "")
LOWER = FRESH or "/"
SECONDS = 540
NAME = "chat.example.com"
NONCE = "A" * 43

BLOCK = re.compile(
    r"(?:<!-- (?P<comment>.*?) -->\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.M | re.S
)
PACKAGES = "changes the packages of the machine that tests"
# Each kind of reason that is good, with how many blocks have it. A new one has to be counted here.
NOT_RUN = {
    PACKAGES: 2,
    "yum's systems are not here": 1,
    "its script comes from elsewhere, and installs a service": 1,
    "formats a disk": 1,
    "downloads gigabytes; tests/installer/test_make_env.py makes one of small packages": 1,
    "no systemd and no udev run in a test": 1,
    "a line of the service's file": 1,
    "no systemd runs in a test, which starts nginx and Caddy by itself": 1,
    "looks at services that no test starts": 1,
}


@dataclass(frozen=True)
class Block:
    """A block of the page: what is in it, and why it is not run, if it is not."""

    kind: str
    text: str
    reason: str | None


def blocks() -> list[Block]:
    """Those of the page, in its order."""
    found = []
    for match in BLOCK.finditer(PAGE.read_text()):
        comment = match["comment"]
        reason = comment.removeprefix("not run: ") if comment else None
        assert comment is None or comment.startswith("not run: "), comment
        found.append(Block(match["kind"], match["text"], reason))
    return found


def test_what_is_not_run_says_why() -> None:
    reasons = [block.reason for block in blocks() if block.reason is not None]
    assert {reason: reasons.count(reason) for reason in reasons} == NOT_RUN
    assert PAGE.read_text().count("```") == 2 * len(blocks())
    assert all(block.kind == "sh" for block in blocks() if block.reason is None)


def test_every_step_has_something_that_runs_or_a_reason() -> None:
    steps = re.split(r"(?m)^## \d+\. ", PAGE.read_text())[1:]
    assert len(steps) == 8
    assert all("```" in step for step in steps)


def test_what_is_not_run_is_a_shell_all_the_same() -> None:
    for block in blocks():
        if block.kind == "sh":
            subprocess.run(["bash", "-n"], input=block.text, text=True, check=True, timeout=60)


def service() -> tuple[str, str]:
    """The program of the service's file, and its user."""
    text = (REPO / "docs" / "deploy" / "open-webui.service").read_text()
    found = dict(re.findall(r"(?m)^(ExecStart|User)=(.*)$", text))
    return found["ExecStart"], found["User"]


def brought_along() -> str:
    """Shell commands that put into a fresh root what the tests' environment lies in."""
    cache = WEBUI.parent.resolve()
    [requirements] = WEBUI.glob("lib/*/site-packages/open-webui-requirements.pth")
    folders = {REPO, cache, Path(sys.base_prefix), Path(requirements.read_text().strip())}
    lines = ["mount -t sysfs -o ro sysfs $over/root/sys"]
    for folder in sorted(map(str, folders)):
        inside = f"$over/root{shlex.quote(folder)}"
        lines.append(f"mkdir -p {inside} && mount --bind {shlex.quote(folder)} {inside}")
    authorities = "/etc/ssl/certs/ca-certificates.crt"
    for file in (authorities, "/etc/resolv.conf", "/etc/pip.conf", "/root/.config/pip/pip.conf"):
        if Path(file).exists():
            lines.append(f"install -D {file} $over/root{file}")
    return "; ".join(lines)


# What nobody but the page's reader would do: the service as systemd starts it, nginx, and a look.
LOOK = """
    set -a; . /etc/open-webui.env; set +a
    export QUOTE_GENERATOR_SIMULATE=1 QUOTE_GENERATOR_SIMULATOR_DIR=/var/lib/open-webui/td
    export OFFLINE_MODE=true RAG_EMBEDDING_ENGINE=openai TEE_DEFAULT_PROVIDER=dcap
    ip link set lo up
    cd /var/lib/open-webui
    setpriv --reuid={user} --regid={user} --init-groups --bounding-set=-all,+dac_override \\
        --inh-caps=-all,+dac_override --ambient-caps=-all,+dac_override --no-new-privs \\
        {program} >/page/log 2>&1 &
    nginx
    ask() {{
        curl -s --max-time 60 --cacert /etc/nginx/chat.pem --resolve {name}:443:127.0.0.1 \\
            "https://{name}$1" "${{@:2}}"
    }}
    for _ in $(seq 600); do
        ask /health -f >/page/health && break
        kill -0 $! || break
        sleep 0.3
    done
    ask /health -f >/page/health || {{ tail -50 /page/log; exit 1; }}
    ask / >/page/index
    ask '/api/v1/tee/quote?nonce={nonce}' >/page/quote
    kill $!
    wait || true
    nginx -s quit
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with what the blocks said, and what was seen then."""
    assert os.geteuid() == 0, "a root of its own takes root"
    assert WEBUI.is_dir(), "run `make setup-test`"
    folder = tmp_path_factory.mktemp("page")
    for number, block in enumerate(blocks()):
        if block.reason is None or (FRESH and block.reason == PACKAGES):
            (folder / f"{number:02}.sh").write_text(block.text)
    program, user = service()
    look = LOOK.format(program=program, user=user, name=NAME, nonce=NONCE)
    (folder / "look").write_text(textwrap.dedent(look))
    script = f"""
        set -eu
        over={shlex.quote(str(tmp_path_factory.mktemp("root")))}
        mount -t tmpfs none $over
        mkdir $over/upper $over/work $over/root
        layers=lowerdir={shlex.quote(LOWER)},upperdir=$over/upper,workdir=$over/work
        mount -t overlay -o "$layers" overlay $over/root
        mount --rbind /dev $over/root/dev
        mount -t proc proc $over/root/proc
        mkdir $over/root/page
        mount --bind {shlex.quote(str(folder))} $over/root/page
        {brought_along() if FRESH else ""}
        rm -rf $over/root/opt/cczoo $over/root/opt/open-webui $over/root/opt/kit
        ln -s {shlex.quote(str(REPO))} $over/root/opt/cczoo
        for block in {shlex.quote(str(folder))}/*.sh; do
            name=$(basename "$block")
            chroot $over/root bash -eu -o pipefail "/page/$name" >"$block.out" 2>&1 \\
                || {{ echo "block $name:"; tail -30 "$block.out"; exit 1; }}
            if grep -q -e --make-env "$block"; then
                ln -s {shlex.quote(str(WEBUI))} $over/root/opt/open-webui
            fi
        done
        rm -f $over/root/etc/nginx/sites-enabled/*
        unshare -n chroot $over/root bash -eu /page/look
    """
    kept = {name: text for name, text in os.environ.items() if name.upper().startswith("PIP_")}
    ours = "" if FRESH else f"{sys.base_prefix}/bin:"  # a Python that can make environments
    kept |= {"PATH": f"{ours}/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
    done = subprocess.run(
        ["unshare", "--mount", "--propagation=private", "bash", "-c", textwrap.dedent(script)],
        env=kept,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def said(ran: Path, command: str) -> str:
    """What the block with this command said."""
    [script] = [path for path in ran.glob("*.sh") if command in path.read_text()]
    return Path(f"{script}.out").read_text()


def test_the_commands_do_what_the_page_says(ran: Path) -> None:
    assert "configfs-tsm" in said(ran, "quote_generator transports")
    assert "MB to download" in said(ran, "--dry-run")
    assert "syntax is ok" in said(ran, "nginx -t")
    assert "Valid configuration" in said(ran, "caddy validate")


def test_then_open_webui_is_there_with_its_badge(ran: Path) -> None:
    """Behind nginx, by HTTPS, run as the service runs it."""
    assert json.loads((ran / "health").read_text()) == {"status": True}
    assert "/api/v1/tee/page/loader" in (ran / "index").read_text()
    quote = json.loads((ran / "quote").read_text())
    assert (quote["status"], quote["simulated"]) == (True, True)
    assert quote["keyset"]["seal"]
