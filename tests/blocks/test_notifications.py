"""Notifications: what each service is sent, and that a message which cannot be delivered is a warning and no more."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from email import message_from_bytes
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from penstock import flow, get_run_logger
from penstock.blocks import Block
from penstock.blocks.notifications import (
    CustomWebhook,
    CustomWebhookNotificationBlock,
    DiscordWebhook,
    Email,
    MattermostWebhook,
    MicrosoftTeamsWebhook,
    NotificationBlock,
    OpsgenieWebhook,
    PagerDutyWebHook,
    SendgridEmail,
    SlackWebhook,
    TwilioSMS,
)
from penstock.exceptions import NotificationFailed

from ..flows.kit import Record
from .services import MailServer, WebService, mail_server, web_service

ODD = "{{ 7 * 7 }} <@U1> & {name} %s\nsecond line"


@pytest.fixture
def service() -> Iterator[WebService]:
    with web_service() as made:
        yield made


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with mail_server() as made:
        yield made


def slack(service: WebService, **fields: Any) -> SlackWebhook:
    return SlackWebhook(url=SecretStr(f"{service.url}/services/T0/B0/hush-hush-token"), **fields)


# --- what is sent ----------------------------------------------------------------------------------------------------


def test_slack_is_sent_a_text_in_which_nothing_is_a_command_of_slacks(service: WebService) -> None:
    assert slack(service).notify(ODD, "A & B") is True
    (came,) = service.came
    assert (came.method, came.path) == ("POST", "/services/T0/B0/hush-hush-token")
    assert came.headers["content-type"] == "application/json"
    assert came.json == {"text": "*A &amp; B*\n{{ 7 * 7 }} &lt;@U1&gt; &amp; {name} %s\nsecond line"}


def test_mattermost_is_sent_to_each_channel(service: WebService) -> None:
    block = MattermostWebhook(
        hostname="127.0.0.1", port=service.port, secure=False, token=SecretStr("a-token"), channels=["a", "b"],
        botname="bot",
    )  # fmt: skip
    assert block.notify("body", "subject")
    assert [came.path for came in service.came] == ["/hooks/a-token"] * 2
    assert [came.json for came in service.came] == [
        {"text": "**subject**\nbody", "username": "bot", "channel": channel} for channel in ("a", "b")
    ]


def test_teams_is_sent_a_card(service: WebService) -> None:
    assert MicrosoftTeamsWebhook(url=SecretStr(f"{service.url}/workflows/x")).notify(ODD, "subject")
    (attached,) = service.came[0].json["attachments"]
    assert attached["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert [block["text"] for block in attached["content"]["body"]] == ["subject", ODD]


def test_discord_mentions_nobody_and_is_not_sent_more_than_it_takes(service: WebService) -> None:
    block = DiscordWebhook(
        webhook_id=SecretStr("123"), webhook_token=SecretStr("a-token"), base_url=f"{service.url}/api/webhooks"
    )
    assert block.notify("@everyone " + "x" * 3000)
    (came,) = service.came
    assert came.path == "/api/webhooks/123/a-token"
    assert came.json["allowed_mentions"] == {"parse": []}
    assert len(came.json["content"]) == 2000


def test_pager_duty_is_sent_an_event(service: WebService) -> None:
    block = PagerDutyWebHook(integration_key=SecretStr("r-key"), base_url=service.url, custom_details={"a": "b"})
    assert block.notify("body", "subject")
    assert service.came[0].json == {
        "routing_key": "r-key",
        "event_action": "trigger",
        "payload": {
            "summary": "subject: body", "source": "Penstock", "component": "Notification", "severity": "warning",
            "custom_details": {"body": "body", "a": "b"},
        },
    }  # fmt: skip


def test_opsgenie_is_sent_an_alert(service: WebService) -> None:
    block = OpsgenieWebhook(
        apikey=SecretStr("g-key"), base_url=service.url, target_team=["ops"], target_user=["ann"], tags=["x"]
    )
    assert block.notify("body", "subject")
    (came,) = service.came
    assert came.headers["authorization"] == "GenieKey g-key"
    assert came.json == {
        "message": "subject", "description": "body", "priority": "P3", "source": "Penstock", "tags": ["x"],
        "responders": [{"type": "user", "username": "ann"}, {"type": "team", "name": "ops"}],
    }  # fmt: skip


def test_twilio_is_sent_a_message_for_each_number(service: WebService) -> None:
    block = TwilioSMS(
        account_sid="AC1", auth_token=SecretStr("t-key"), from_phone_number="+1", to_phone_numbers=["+2", "+3"],
        base_url=service.url,
    )  # fmt: skip
    assert block.notify("body")
    assert [came.path for came in service.came] == ["/Accounts/AC1/Messages.json"] * 2
    assert [came.form for came in service.came] == [{"From": "+1", "Body": "body", "To": to} for to in ("+2", "+3")]
    assert service.came[0].headers["authorization"].startswith("Basic ")


def test_sendgrid_is_sent_a_mail(service: WebService) -> None:
    block = SendgridEmail(
        api_key=SecretStr("s-key"), sender_email="from@example.org", to_emails=["a@example.org"], base_url=service.url
    )
    assert block.notify("first\nsecond")
    (came,) = service.came
    assert came.headers["authorization"] == "Bearer s-key"
    assert came.json["subject"] == "first"
    assert came.json["personalizations"] == [{"to": [{"email": "a@example.org"}]}]


def test_a_mail_is_handed_to_a_server(mail: MailServer) -> None:
    block = Email(host="127.0.0.1", port=mail.port, sender="me@example.org", to=["a@example.org"], security="none")
    assert block.notify("body ☃", "subject ☃")
    (text,) = mail.mails
    message = message_from_bytes(text.encode())
    assert message["To"] == "a@example.org"
    assert "☃" in (message.get_payload(decode=True) or b"").decode()  # type: ignore[union-attr]


def test_a_subject_is_one_header(mail: MailServer) -> None:
    block = Email(host="127.0.0.1", port=mail.port, sender="me@example.org", to=["a@example.org"], security="none")
    assert block.notify("body", "subject\nBcc: everybody@example.org")
    assert "everybody" not in mail.mails[0]
    forged = Email(
        host="127.0.0.1", port=mail.port, sender="me@example.org\nBcc: x@example.org", to=["a@example.org"],
        security="none",
    )  # fmt: skip
    assert forged.notify("body") is False


def test_a_custom_webhook_is_filled_once(service: WebService) -> None:
    block = CustomWebhook(
        name="alerts",
        url=f"{service.url}/{{{{token}}}}",
        params={"q": "{{ subject }}"},
        json_data={"text": "{{body}} {{unknown}}", "list": ["{{name}}", 1]},
        headers={"X-Token": "{{token}}"},
        cookies={"c": "{{token}}"},
        secrets={"token": SecretStr("a/b")},
    )
    assert block.notify("{{token}} {{name}}", "s & t")
    (came,) = service.came
    assert came.path == "/a%2Fb?q=s+%26+t"
    assert came.json == {"text": "{{token}} {{name}} {{unknown}}", "list": ["alerts", 1]}
    assert (came.headers["x-token"], came.headers["cookie"]) == ("a/b", "c=a/b")
    assert CustomWebhookNotificationBlock is CustomWebhook


# --- what cannot be delivered ----------------------------------------------------------------------------------------


def warnings_of(record: Record) -> list[str]:
    return [line.message for line in record.lines() if line.level == 30]


def told(block: NotificationBlock) -> Any:
    @flow
    def tells() -> Any:
        delivered = block.notify("body")
        get_run_logger().info("goes on")
        return delivered

    return tells()


def test_a_service_that_answers_an_error_is_a_warning_and_the_run_goes_on(service: WebService, record: Record) -> None:
    service.status, service.says = 500, b"<b>down</b>"
    assert told(slack(service)) is False
    assert warnings_of(record) == [
        "Slack Webhook could not deliver a notification: 127.0.0.1 answered with status 500: <b>down</b>."
    ]
    assert record.flow_run().state.is_completed()
    assert record.messages()[-2] == "goes on"


def test_a_service_that_does_not_answer_is_waited_for_no_longer_than_was_said(
    service: WebService, record: Record
) -> None:
    service.silent = threading.Event()
    assert told(slack(service, timeout=0.2)) is False
    assert warnings_of(record) == [
        "Slack Webhook could not deliver a notification: 127.0.0.1 did not answer within 0.2 s."
    ]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1:1/services/hush-hush-token", "127.0.0.1 cannot be reached"),
        ("https://127.0.0.1:1/services/hush-hush-token", "127.0.0.1 cannot be reached"),
        ("file:///etc/passwd", "no http"),
        ("hush-hush-token", "no http"),
        ("http://[hush-hush-token", "no http"),
        ("http://nowhere.invalid/hush-hush-token", "nowhere.invalid cannot be reached"),
    ],
)
def test_what_goes_wrong_never_shows_the_address(record: Record, url: str, said: str) -> None:
    assert told(SlackWebhook(url=SecretStr(url))) is False
    (warning,) = warnings_of(record)
    assert said in warning
    assert "hush" not in warning


def test_redirects_are_not_followed(service: WebService, record: Record) -> None:
    service.status = 302
    assert told(slack(service)) is False
    assert len(service.came) == 1


def test_who_wants_an_error_has_one(service: WebService, capsys: pytest.CaptureFixture[str]) -> None:
    service.status = 404
    block = slack(service)
    with block.raise_on_failure(), pytest.raises(NotificationFailed, match="status 404"):
        block.notify("body")
    assert block.notify("body") is False
    assert "Slack Webhook could not deliver" in capsys.readouterr().err


def test_nothing_is_sent_into_the_own_network_where_that_is_not_allowed(service: WebService) -> None:
    block = slack(service, allow_private_urls=False)
    with block.raise_on_failure(), pytest.raises(NotificationFailed, match="private network"):
        block.notify("body")
    assert service.came == []


def test_a_recipient_that_is_refused_is_said(mail: MailServer, record: Record) -> None:
    mail.refuses = True
    assert told(Email(host="127.0.0.1", port=mail.port, sender="a@b.c", to=["x@y.z"], security="none")) is False
    assert warnings_of(record) == ["Email could not deliver a notification: 127.0.0.1 refused the recipients x@y.z."]


# --- as blocks -------------------------------------------------------------------------------------------------------


def test_they_are_kept_as_blocks_with_their_secrets_encrypted(service: WebService, record: Record) -> None:
    slack(service).save("default")
    loaded = SlackWebhook.load("default")
    assert Block.load("slack-webhook/default") == loaded
    assert "hush" not in repr(loaded)
    service.status = 500
    told(loaded)
    assert warnings_of(record)[0].startswith("Slack Webhook 'default' could not deliver")


def test_in_coroutines_they_are_awaited(service: WebService) -> None:
    @flow
    async def tells() -> Any:
        return await slack(service).notify("one")

    async def main() -> list[bool]:
        return [await tells(), await slack(service).notify("two"), await slack(service).anotify("three")]

    assert asyncio.run(main()) == [True, True, True]
    assert [came.json["text"] for came in service.came] == ["one", "two", "three"]


def test_what_cannot_be_a_block_is_refused_where_it_is_made() -> None:
    with pytest.raises(ValidationError):
        SlackWebhook(url=SecretStr("http://x"), timeout=0)
    with pytest.raises(ValidationError):
        TwilioSMS(account_sid="a", auth_token=SecretStr("t"), from_phone_number="+1", to_phone_numbers=[])
    with pytest.raises(ValidationError, match="two bodies"):
        CustomWebhook(name="x", url="http://x", json_data={}, form_data={})
    with pytest.raises(ValidationError):
        OpsgenieWebhook(apikey=SecretStr("k"), priority=9)
