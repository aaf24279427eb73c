"""What webhooks are told, how it is signed, and what happens while nobody takes it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import httpx2
import pytest

from gateway.approvals.messages import message
from gateway.approvals.signature import HEADER, TOLERANCE, sign, verify, verify_slack
from gateway.approvals.webhooks import Webhooks
from gateway.config.approvals import Shown, WebhookFormat, WebhookSettings
from gateway.config.secrets import Secret
from gateway.domain.approval import ApprovalRequest, ApprovalState, StatementSummary
from tests.fixtures.waiting import eventually_in_loop
from tests.gateway.approvals.test_desk import DORA, Bed, run

SECRET = "s" * 32
HOOK = WebhookSettings("https://hooks.example/x", Secret(SECRET))
STATEMENT = StatementSummary(
    "UPDATE t SET email = 'ana@secret.example' WHERE id = 1",
    "f1",
    "UPDATE t SET email = ? WHERE id = ?",
    ("update",),
    writes=("public.t",),
    predicate="present",
    parameters=('"bo@secret.example"',),
    estimated_rows=1,
)


def text_of(request: ApprovalRequest, shown: Shown, form: WebhookFormat) -> str:
    hook = WebhookSettings("https://hooks.example/x", Secret(SECRET), form, shown)
    return json.dumps(message(request, hook, "https://querygate.example/approvals"))


@pytest.mark.parametrize("form", list(WebhookFormat))
def test_literals_leave_only_where_the_settings_say_so(tmp_path, form):
    async def story(bed: Bed) -> None:
        request = bed.request(statement=STATEMENT)
        assert "ana@secret.example" in text_of(request, Shown.FULL, form)
        assert "bo@secret.example" in text_of(request, Shown.FULL, form)
        assert "secret.example" not in text_of(request, Shown.NORMALISED, form)
        assert "UPDATE t" in text_of(request, Shown.NORMALISED, form)
        assert "UPDATE t" not in text_of(request, Shown.NONE, form)
        assert "https://querygate.example/approvals/r1" in text_of(request, Shown.NONE, form)

    run(tmp_path, story)


def test_a_slack_message_has_buttons_while_there_is_something_to_decide(tmp_path):
    async def story(bed: Bed) -> None:
        request = bed.request(statement=replace(STATEMENT, text="SELECT '<!channel> & ```'"), reason="<b>")
        shown = text_of(request, Shown.FULL, WebhookFormat.SLACK)
        assert '"action_id": "approve"' in shown
        assert "<!channel>" not in shown
        assert "&lt;b&gt;" in shown
        over = replace(request, state=ApprovalState.EXPIRED)
        assert '"action_id"' not in text_of(over, Shown.FULL, WebhookFormat.SLACK)

    run(tmp_path, story)


def test_signatures():
    body = b'{"a":1}'
    value = sign(SECRET, body, 1_000_000.9)
    assert verify(SECRET, body, value, 1_000_000 + TOLERANCE)
    assert not verify(SECRET, body, value, 1_000_001 + TOLERANCE)
    assert not verify(SECRET, body + b" ", value, 1_000_000)
    assert not verify("other", body, value, 1_000_000)
    assert not verify(SECRET, body, value.replace("t=1000000", "t=1000001"), 1_000_000)
    for nonsense in ("", "t=,v1=", "v1=abc", "t=1e9,v1=x", "t=²,v1=x", "t=1000000", "t=1000000,v1=\u00e9"):
        assert not verify(SECRET, body, nonsense, 1_000_000)


def test_slack_signatures_by_slacks_own_example():
    # The example of Slack's documentation ("Verifying requests from Slack").
    secret = "8f742231b10e8888abcd99yyyzzz85a5"
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    headers = {
        "x-slack-request-timestamp": "1531420618",
        "x-slack-signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
    }
    assert verify_slack(secret, body, headers, 1_531_420_618)
    assert not verify_slack(secret, body, headers, 1_531_420_618 + TOLERANCE + 1)
    assert not verify_slack(secret, body + b"x", headers, 1_531_420_618)
    assert not verify_slack(secret, body, {}, 1_531_420_618)


def test_every_change_is_told_signed_and_in_order_after_failures_too(tmp_path):
    seen: list[tuple[str, bool]] = []
    answers = iter([503, 429, 200, 200])

    async def story(bed: Bed) -> None:
        def receive(request: httpx2.Request) -> httpx2.Response:
            code = next(answers)
            if code == 200:
                signed = verify(SECRET, request.content, request.headers[HEADER], bed.now)
                seen.append((json.loads(request.content)["event"], signed))
            return httpx2.Response(code)

        hooks = Webhooks(bed.desk, (HOOK,), url="", clock=lambda: bed.now, transport=httpx2.MockTransport(receive))
        hooks.start()
        await asyncio.sleep(0)
        await bed.desk.submit(bed.request())
        await bed.desk.decide("r1", DORA, approve=False)
        await eventually_in_loop(lambda: len(seen) == 2)
        await hooks.stop()

    run(tmp_path, story)
    assert seen == [("approval.pending", True), ("approval.rejected", True)]
