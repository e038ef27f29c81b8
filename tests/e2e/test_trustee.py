"""A real Trustee, as it behaves, and the page: likenesses of v0.13 and v0.21 in every place.

With CORS and without, pinned and not, asked by the page or through the relay; evidence leaves as
often as it has to and no more, and never before it is known under which keys an answer counts.
What each service was asked is counted there, not by the page.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from playwright.sync_api import Request, expect

from doubles.serving import serving
from doubles.trustee.library import EXPIRED, Chosen
from doubles.trustee.service import ATTESTATION, KEYS
from doubles.trustee.signing import EAR_ALGORITHM, Signer, certified
from e2e.browser import ChatPage, tee_settings
from e2e.changed import QUOTE_PATH, Changed
from e2e.stack import Backend, wait_until
from e2e.trustees import FIRST_POSTS, VERSIONS, Behind, Running, evidence_of, setup
from vectors import logs

# Providers are the same in every open-webui: one way in is enough for these.
pytestmark = pytest.mark.way("source")

OpenChat = Callable[..., ChatPage]
Start = Callable[..., Running]

RELAY_PATH = "/api/v1/tee/relay/trustee"
SIGNATURE, APPRAISAL, COLLATERAL, TCB = "token-signature", "appraisal", "collateral", "tcb-status"
AT_ONCE = 32
WORD_ABOUT_THE_MACHINE = "tell the administrator of this server"
versions = pytest.mark.parametrize("version", VERSIONS)


@pytest.fixture
def start(test_pki: Path, ports: dict[str, int], changed: Changed) -> Iterator[Start]:
    """Start a service that knows ``hardware`` and lets its pages in, with the kit's patch."""
    with ExitStack() as stack:

        def start(version: str, **more: Any) -> Running:
            origins = (f"http://127.0.0.1:{ports['hardware']}",)
            more = {"origins": origins, "patched": True, **more}
            return stack.enter_context(Running(version, setup(test_pki, changed.quote(), **more)))

        yield start


@pytest.fixture(scope="module")
def behind() -> Iterator[Behind]:
    """The address that ``relaying`` relays to; no page may ask there."""
    place = Behind()

    def make_app(url: str) -> Behind:
        place.url = url
        return place

    with serving(make_app):
        yield place


@pytest.fixture
def put(behind: Behind, test_pki: Path, changed: Changed) -> Start:
    """Put a stock service there that knows ``hardware``."""
    return lambda version, **more: behind.put(version, setup(test_pki, changed.quote(), **more))


@pytest.fixture(scope="module")
def start_relaying(start_backend: Callable[..., Backend], kernel: Any) -> Callable[..., Backend]:
    """Start a backend like ``hardware`` that relays to an address."""

    def start(name: str, url: str) -> Backend:
        env = {
            "TEE_DEFAULT_PROVIDER": "trustee",
            "TEE_TRUSTEE_URL": url,
            "TEE_RELAY": "trustee",
        }
        return start_backend(name, env, tuple(kernel.inside([])))

    return start


@pytest.fixture(scope="module")
def relaying(start_relaying: Callable[..., Backend], behind: Behind) -> Backend:
    """A backend that relays to a service on this machine."""
    return start_relaying("relaying", behind.url)


@pytest.fixture(scope="module")
def relaying_elsewhere(start_relaying: Callable[..., Backend], behind: Behind) -> Backend:
    """A backend that relays to another machine's service, by plain HTTP as the original did."""
    return start_relaying("relaying-elsewhere", behind.other_url)


def pinned(service: Running, url: str = "", **more: Any) -> dict[str, Any]:
    """The page's settings with this service and its key."""
    url = url or service.url
    return tee_settings("trustee", trustee=url, trustee_keys=service.signers_key, **more)


def sent(chat: ChatPage) -> list[Request]:
    """The requests with evidence, to the service or the relay."""
    asked = chat.requests_to(ATTESTATION, RELAY_PATH)
    return [request for request in asked if request.method == "POST"]


def evidence_sent(chat: ChatPage) -> list[dict[str, Any]]:
    return [evidence_of(request.post_data_json) for request in sent(chat)]


def assert_green(chat: ChatPage) -> None:
    """Assert that it is green, was never anything else, and that no check is but for show."""
    assert chat.settle(seconds=60) == "green", chat.faults()
    assert chat.results() == ["green"]
    outcomes = chat.checks()
    assert set(outcomes.values()) <= {"pass", "skipped"}
    assert outcomes[SIGNATURE] == outcomes["token-claims"] == outcomes[APPRAISAL] == "pass"
    assert chat.errors == []


def assert_red(chat: ChatPage, faults: dict[str, str]) -> None:
    """Assert that it is red for these reasons and no other, and was never green."""
    assert chat.settle(seconds=60) == "red"
    assert chat.faults() == faults
    assert "green" not in chat.states()


# Green


def pem(certificate: bytes) -> str:
    return x509.load_der_x509_certificate(certificate).public_bytes(Encoding.PEM).decode()


@versions
def test_green_under_a_pinned_key_and_evidence_leaves_once(
    hardware: Backend, start: Start, open_chat: OpenChat, version: str
) -> None:
    """The body that it takes is remembered; no event log goes along, and no key is asked for."""
    service = start(version)
    chat = open_chat(hardware, pinned(service))
    assert_green(chat)
    assert service.posts == FIRST_POSTS[version]
    assert chat.recheck() == "green"
    assert service.posts == FIRST_POSTS[version] + 1
    assert all(evidence.keys() == {"quote"} for evidence in evidence_sent(chat))
    assert f"GET {KEYS}" not in service.setup.seen


@versions
def test_green_under_a_pinned_authority(
    hardware: Backend, start: Start, open_chat: OpenChat, version: str
) -> None:
    """Versions write the certificate in the token's header each in its own base64."""
    signer, authority = certified(EAR_ALGORITHM)
    service = start(version, signer=signer)
    settings = tee_settings("trustee", trustee=service.url, trustee_keys=pem(authority))
    assert_green(open_chat(hardware, settings))
    assert service.posts == FIRST_POSTS[version]


def test_green_under_the_keys_that_a_current_one_publishes(
    hardware: Backend, start: Start, open_chat: OpenChat
) -> None:
    service = start("0.21")
    assert_green(open_chat(hardware, tee_settings("trustee", trustee=service.url)))
    asked = [one for one in service.setup.seen if not one.startswith("OPTIONS")]
    assert asked == [f"GET {KEYS}", f"POST {ATTESTATION}"]


def test_an_old_one_publishes_no_keys_and_gets_no_evidence_without_a_pin(
    hardware: Backend, start: Start, open_chat: OpenChat
) -> None:
    service = start("0.13")
    chat = open_chat(hardware, tee_settings("trustee", trustee=service.url))
    assert_red(chat, {SIGNATURE: "keys-silent"})
    assert sent(chat) == []
    assert service.posts == 0


# Through the relay


@versions
def test_without_cors_the_relay_carries_the_evidence(
    relaying: Backend, put: Start, open_chat: OpenChat, version: str
) -> None:
    service = put(version)
    chat = open_chat(relaying, pinned(service))
    assert_green(chat)
    assert len(chat.requests_to(RELAY_PATH)) == service.posts == FIRST_POSTS[version]
    assert chat.recheck() == "green"
    assert len(chat.requests_to(RELAY_PATH)) == service.posts == FIRST_POSTS[version] + 1


@versions
def test_without_cors_and_without_a_pin_the_page_says_pin_before_it_sends_anything(
    relaying: Backend, put: Start, open_chat: OpenChat, version: str
) -> None:
    service = put(version)
    chat = open_chat(relaying, tee_settings("trustee", trustee=service.url))
    assert_red(chat, {SIGNATURE: "keys-needed"})
    assert "pin them" in chat.reason()
    assert chat.requests_to(RELAY_PATH) == []
    assert service.posts == 0


def test_the_relay_carries_nothing_for_another_service_than_the_persons(
    relaying: Backend, put: Start, start: Start, open_chat: OpenChat
) -> None:
    configured, chosen = put("0.21"), start("0.21", origins=())
    chat = open_chat(relaying, pinned(chosen))
    assert_red(chat, {SIGNATURE: "no-relay"})
    assert configured.url in chat.row(SIGNATURE).inner_text()
    assert chat.requests_to(RELAY_PATH) == []
    assert configured.posts == chosen.posts == 0


@versions
def test_plain_http_is_asked_through_the_relay_only(
    relaying_elsewhere: Backend, behind: Behind, put: Start, open_chat: OpenChat, version: str
) -> None:
    """The original's `http://ip:8080`: the token's signature is what counts."""
    service = put(version)
    chat = open_chat(relaying_elsewhere, pinned(service, behind.other_url))
    assert_green(chat)
    assert len(chat.requests_to(RELAY_PATH)) == service.posts == FIRST_POSTS[version]
    assert chat.requests_to(behind.other_url, behind.url) == []


def test_plain_http_without_a_pin_is_refused_with_that_reason(
    relaying_elsewhere: Backend, behind: Behind, put: Start, open_chat: OpenChat
) -> None:
    """As the server suggests it, and as a person writes it."""
    service = put("0.21")
    chat = open_chat(relaying_elsewhere, tee_settings("trustee"))
    assert_red(chat, {SIGNATURE: "http-unpinned"})
    assert "pin them" in chat.reason()

    chat.page.keyboard.press("Escape")
    address = chat.open_settings().get_by_test_id("tee-address")
    address.fill(behind.other_url)
    address.press("Tab")
    expect(chat.page.get_by_test_id("tee-settings-error")).to_contain_text("pin them")
    assert chat.stored_settings()["addresses"]["trustee"] == ""
    assert chat.requests_to(RELAY_PATH, behind.other_url, behind.url) == []
    assert service.setup.seen == []


# A service in trouble

TROUBLES: dict[str, tuple[dict[str, Any], str]] = {
    "hangs up": ({"hangs_up": True}, "service-silent"),
    "has no collateral": ({"collateral_down": True}, "service-broken"),
    "has no reference values": ({"references_down": True}, "service-broken"),
}


def change(service: Running, changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        setattr(service.setup, name, value)


def renewal(chat: ChatPage) -> Any:
    """Where the panel says that the result could not be renewed."""
    return chat.open_panel().get_by_test_id("tee-renewal")


@versions
@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_service_in_trouble_says_nothing_about_the_machine(
    hardware: Backend, start: Start, open_chat: OpenChat, version: str, trouble: str
) -> None:
    """It is asked again until it is well; an older green holds meanwhile."""
    changes, code = TROUBLES[trouble]
    well = dict.fromkeys(changes, False)
    service = start(version, **changes)
    chat = open_chat(hardware, pinned(service))
    assert_red(chat, {SIGNATURE: code})
    assert WORD_ABOUT_THE_MACHINE not in chat.panel.inner_text()
    expect(renewal(chat)).to_contain_text("Trying again")
    change(service, well)
    chat.expect_state("green")

    change(service, changes)
    chat.panel.get_by_test_id("tee-recheck").click()
    expect(renewal(chat)).to_contain_text("holds until")
    expect(renewal(chat)).to_contain_text(SIGNATURE)
    chat.expect_state("green")
    change(service, well)
    expect(renewal(chat)).to_have_count(0)
    chat.expect_state("green")
    if trouble != "hangs up":  # a browser itself repeats what a closed connection left open
        assert service.posts == len(chat.requests_to(QUOTE_PATH)) + FIRST_POSTS[version] - 1
    assert chat.results() == ["red", "green", "green"]


@versions
def test_green_outlasts_a_service_that_is_stopped_and_started_again(
    hardware: Backend, start: Start, open_chat: OpenChat, version: str
) -> None:
    service = start(version)
    chat = open_chat(hardware, pinned(service))
    chat.expect_state("green")
    service.stop()
    chat.open_panel().get_by_test_id("tee-recheck").click()
    expect(renewal(chat)).to_contain_text("did not answer")
    expect(renewal(chat)).to_contain_text("holds until")
    posts = service.posts
    service.start()
    expect(renewal(chat)).to_have_count(0)
    chat.expect_state("green")
    assert "red" not in chat.states()
    assert service.posts == posts + 1


@versions
def test_a_slow_service_is_waited_for(
    hardware: Backend, start: Start, open_chat: OpenChat, version: str
) -> None:
    service = start(version, delay=3)
    chat = open_chat(hardware, pinned(service))
    assert_green(chat)
    assert service.posts == FIRST_POSTS[version]


def test_another_key_than_the_pinned_one_is_told_as_that(
    hardware: Backend, start: Start, open_chat: OpenChat
) -> None:
    service = start("0.21")
    chat = open_chat(hardware, pinned(service))
    chat.expect_state("green")
    service.sign_with(Signer.ephemeral(EAR_ALGORITHM))
    assert chat.recheck() == "red"
    assert chat.faults() == {SIGNATURE: "key-changed"}


# What a service makes of the machine

REFUSED = {
    ("0.13", "InvalidSignature"): "a signature of the quote does not hold",
    ("0.21", "InvalidSignature"): "a signature of the quote does not hold",
    ("0.13", "Revoked"): "is revoked",
    ("0.21", "Revoked"): "is revoked",
    ("0.13", "TDRelaunchAdvised"): "restart the TD",
}


@pytest.mark.parametrize(("version", "status"), REFUSED)
def test_refused_evidence_is_red_in_words(
    hardware: Backend, start: Start, open_chat: OpenChat, version: str, status: str
) -> None:
    """Bare codes of Intel's library are told as what they mean; an older green goes."""
    service = start(version)
    chat = open_chat(hardware, pinned(service))
    chat.expect_state("green")
    service.setup.chosen = Chosen(status)
    assert chat.recheck() == "red"
    assert chat.faults() == {SIGNATURE: "service-rejected"}
    assert REFUSED[version, status] in chat.row(SIGNATURE).inner_text()
    assert WORD_ABOUT_THE_MACHINE in chat.panel.inner_text()
    expect(renewal(chat)).to_have_count(0)
    assert service.posts == FIRST_POSTS[version] + 1


def test_collateral_that_the_service_itself_calls_expired_is_red(
    hardware: Backend, start: Start, open_chat: OpenChat
) -> None:
    """v0.13 affirms all the same."""
    service = start("0.13", chosen=Chosen(expiration=EXPIRED))
    chat = open_chat(hardware, pinned(service))
    assert_red(chat, {COLLATERAL: "collateral-expired"})
    assert chat.checks()[APPRAISAL] == "pass"


def test_an_older_versions_name_of_a_status_is_the_same_status(
    hardware: Backend, start: Start, open_chat: OpenChat
) -> None:
    """`Min` is ConfigurationNeeded, of which the policy warns."""
    service = start("0.13", chosen=Chosen("ConfigurationNeeded"))
    chat = open_chat(hardware, pinned(service))
    chat.expect_state("amber")
    assert chat.faults() == {TCB: "tcb-status"}
    assert "ConfigurationNeeded" in chat.row(TCB).inner_text()


def test_a_host_that_was_updated_meanwhile_is_told_by_its_name_and_the_trust_vector(
    hardware: Backend, start: Start, open_chat: OpenChat
) -> None:
    service = start("0.21", chosen=Chosen("TDRelaunchAdvised"))
    chat = open_chat(hardware, pinned(service))
    assert_red(chat, {TCB: "tcb-relaunch", APPRAISAL: "appraisal"})
    assert "hardware 97" in chat.row(APPRAISAL).inner_text()


def test_a_machine_that_nobody_entered_as_known_is_not_approved(
    hardware: Backend, start: Start, open_chat: OpenChat
) -> None:
    service = start("0.21")
    service.setup.references = {}
    chat = open_chat(hardware, pinned(service))
    assert_red(chat, {APPRAISAL: "appraisal"})
    for claim in ("hardware 97", "executables 33", "configuration 36"):
        assert claim in chat.row(APPRAISAL).inner_text()


# Event logs


# What an agent writes behind the server's own lines.
OTHERS = logs.LINES[1:]


@pytest.fixture
def logged(changed: Changed) -> Changed:
    """A machine with both logs, which lead to its registers."""
    changed.event_logs = {"cc_eventlog": logs.ccel(logs.EVENTS[:6])}
    registers = logs.replay(logs.EVENTS[:6], ())
    changed.measurements = {f"rtmr_{n}": registers[n] for n in range(3)}
    changed.lines = OTHERS
    return changed


@versions
def test_event_logs_stay_home(
    hardware: Backend, logged: Changed, start: Start, open_chat: OpenChat, version: str
) -> None:
    """Anybody may have extended a register after boot: services refuse an honest TD over that."""
    extended = logged.measurements["rtmr_2"] + b"\5" * 48
    logged.measurements["rtmr_2"] = logs.sha384(extended)
    service = start(version)
    chat = open_chat(hardware, pinned(service), prepare=logged)
    assert_green(chat)
    assert chat.checks()["event-log"] == "pass"
    assert "rtmr_2" in chat.row("event-log").inner_text()
    assert all(evidence.keys() == {"quote"} for evidence in evidence_sent(chat))

    chat = open_chat(hardware, pinned(service, logs={"trustee": True}), prepare=logged)
    assert_red(chat, {SIGNATURE: "service-rejected"})
    assert "event logs do not lead to the registers" in chat.row(SIGNATURE).inner_text()
    assert chat.checks()["event-log"] == "pass"


@versions
def test_where_a_person_wants_it_one_log_goes_along_and_the_service_verifies_it(
    hardware: Backend, logged: Changed, start: Start, open_chat: OpenChat, version: str
) -> None:
    service = start(version)
    chat = open_chat(hardware, pinned(service), prepare=logged)
    chat.expect_state("green")
    chat.open_settings().get_by_test_id("tee-logs").click()
    chat.close_settings()
    wait_until_sent(chat, FIRST_POSTS[version] + 1)
    chat.expect_state("green")
    evidence = evidence_sent(chat)[-1]
    assert evidence.keys() == {"quote", "cc_eventlog"}
    log = base64.b64decode(evidence["cc_eventlog"])
    assert log.startswith(logs.ccel(logs.EVENTS[:6])[:32])
    for line in OTHERS:
        assert line.encode() in log


def wait_until_sent(chat: ChatPage, count: int) -> None:
    """Wait until the page has sent evidence so often."""

    def enough() -> bool:
        chat.page.wait_for_timeout(50)  # lets Playwright hear of requests
        return len(sent(chat)) >= count

    wait_until(enough, f"evidence sent {count} times", seconds=60)


# Many at once

# [address, body, how many] -> the answers' statuses and first bytes.
ASK_AT_ONCE = """async ([address, body, count]) => {
	const ask = async () => {
		const answer = await fetch(address, {
			method: 'POST',
			headers: {
				Authorization: `Bearer ${localStorage.token}`,
				'Content-Type': 'application/json'
			},
			body,
			signal: AbortSignal.timeout(60_000)
		});
		return [answer.status, (await answer.text()).split('.').length];
	};
	return Promise.all(Array.from({ length: count }, ask));
}"""


def test_asking_again_and_again_is_one_run(
    hardware: Backend, start: Start, open_chat: OpenChat
) -> None:
    """However often the button is pressed meanwhile, evidence leaves once."""
    service = start("0.21", delay=1)
    chat = open_chat(hardware, pinned(service))
    chat.expect_state("green")
    button = chat.open_panel().get_by_test_id("tee-recheck")
    button.evaluate(f"button => {{ for (let n = 0; n < {AT_ONCE}; n += 1) button.click(); }}")
    wait_until_sent(chat, 2)
    chat.expect_state("green")
    assert service.posts == 2
    assert len(chat.requests_to(QUOTE_PATH)) == 2


@versions
def test_many_requests_at_once_pass_through_the_relay_and_the_badge_among_them(
    relaying: Backend, put: Start, open_chat: OpenChat, version: str
) -> None:
    service = put(version)
    chat = open_chat(relaying, pinned(service))
    chat.expect_state("green")
    body = sent(chat)[-1].post_data
    chat.open_panel().get_by_test_id("tee-recheck").click()
    answers = chat.page.evaluate(ASK_AT_ONCE, [RELAY_PATH, body, AT_ONCE])
    assert answers == [[200, 3]] * AT_ONCE  # each a token: header, claims, signature
    wait_until_sent(chat, FIRST_POSTS[version] + AT_ONCE + 1)
    chat.expect_state("green")
    assert service.posts == FIRST_POSTS[version] + AT_ONCE + 1
