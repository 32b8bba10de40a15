"""Blocks that tell people: `notify(body, subject)` on each.

Law: what a run wanted to tell and could not is a warning in its log, and never the end of the run. What is told is
data: no template of ours or of the service's is made of it.
"""

from __future__ import annotations

import asyncio
import base64
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Literal
from urllib.parse import quote, urlencode

import pydantic
from pydantic import SecretStr

from ..domain.errors import NotificationFailed
from ..engine.context import current, is_awaited
from ..engine.runlog import say
from . import delivery
from .core import Block
from .delivery import Request

WARNING = 30
# Services that make a link or a mention of what they are told do so of `<…>` and `@`; Slack wants three characters
# written otherwise.
_SLACK = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


class NotificationBlock(Block, ABC):
    """The base of blocks that tell people something: subclass it, and write `deliver`."""

    _raises: bool = pydantic.PrivateAttr(False)

    @abstractmethod
    def deliver(self, body: str, subject: str | None) -> None:
        """Sends a message, once. Raises `NotificationFailed`."""

    def notify(self, body: str, subject: str | None = None) -> Any:
        """Sends a message; whether it was delivered. In an asynchronous flow or task, and in a coroutine, this is
        awaited.

        What cannot be delivered is a WARNING in the log of the run that calls this (outside of runs, on standard
        error), and raises nothing; but in `with block.raise_on_failure():`, where it raises `NotificationFailed`.

        Example::

            SlackWebhook.load("default").notify("The model is ready.")
        """
        if is_awaited(current.get()):
            return asyncio.to_thread(self._notify, body, subject)
        return self._notify(body, subject)

    async def anotify(self, body: str, subject: str | None = None) -> bool:
        """`notify` to be awaited."""
        return await asyncio.to_thread(self._notify, body, subject)

    @contextmanager
    def raise_on_failure(self) -> Iterator[None]:
        """In it, `notify` raises `NotificationFailed` for what cannot be delivered."""
        before, self._raises = self._raises, True
        try:
            yield
        finally:
            self._raises = before

    def _notify(self, body: str, subject: str | None) -> bool:
        try:
            self.deliver(str(body), None if subject is None else str(subject))
        except NotificationFailed as error:
            if self._raises:
                raise
            name = "" if self._block_document_name is None else f" {self._block_document_name!r}"
            message = f"{self.get_block_type_name()}{name} could not deliver a notification: {error}"
            context = current.get()
            if context is None:
                print(f"penstock: {message}", file=sys.stderr)
            else:
                say(context, WARNING, message)
            return False
        return True


class WebhookBlock(NotificationBlock, ABC):
    """One that sends one request to a service. `timeout` is in seconds; with `allow_private_urls=False` nothing is
    sent into the own network."""

    timeout: float = pydantic.Field(delivery.TIMEOUT, gt=0, le=300)
    allow_private_urls: bool = True

    @abstractmethod
    def request(self, body: str, subject: str | None) -> Request:
        """What is sent for a message."""

    def deliver(self, body: str, subject: str | None) -> None:
        delivery.send(self.request(body, subject), timeout=self.timeout, private=self.allow_private_urls)


class SlackWebhook(WebhookBlock):
    """Tells a Slack channel by an incoming webhook.

    Example::

        SlackWebhook(url="https://hooks.slack.com/services/…").save("default")
        SlackWebhook.load("default").notify("The model is ready.")
    """

    _block_type_name = "Slack Webhook"
    _description = "Tells a Slack channel, by an incoming webhook."

    url: SecretStr
    notify_type: str | None = None  # of moved code; Slack has no use for it

    def request(self, body: str, subject: str | None) -> Request:
        text = body.translate(_SLACK)
        if subject:
            text = f"*{subject.translate(_SLACK)}*\n{text}"
        return Request(url=self.url.get_secret_value(), json={"text": text})


class MattermostWebhook(WebhookBlock):
    """Tells Mattermost channels by an incoming webhook: of its own channel where none are named."""

    _block_type_name = "Mattermost Webhook"
    _description = "Tells Mattermost channels, by an incoming webhook."

    hostname: str
    token: SecretStr
    secure: bool = True
    port: int = pydantic.Field(8065, ge=1, le=65535)
    path: str | None = None
    botname: str | None = None
    channels: list[str] | None = None

    def deliver(self, body: str, subject: str | None) -> None:
        for channel in self.channels or [None]:  # type: ignore[list-item]
            request = self.request(body, subject)
            if channel is not None:
                request.json["channel"] = channel
            delivery.send(request, timeout=self.timeout, private=self.allow_private_urls)

    def request(self, body: str, subject: str | None) -> Request:
        message: dict[str, Any] = {"text": f"**{subject}**\n{body}" if subject else body}
        if self.botname is not None:
            message["username"] = self.botname
        path = "/".join(part for part in ((self.path or "").strip("/"), "hooks", self.token.get_secret_value()) if part)
        return Request(url=f"http{'s' * self.secure}://{self.hostname}:{self.port}/{path}", json=message)


class MicrosoftTeamsWebhook(WebhookBlock):
    """Tells a Teams channel by a workflow that receives webhooks."""

    _block_type_name = "Microsoft Teams Webhook"
    _block_type_slug = "ms-teams-webhook"
    _description = "Tells a Microsoft Teams channel, by the webhook of a workflow."

    url: SecretStr
    wrap: bool = True

    def request(self, body: str, subject: str | None) -> Request:
        blocks = [{"type": "TextBlock", "text": body, "wrap": self.wrap}]
        if subject:
            blocks.insert(0, {"type": "TextBlock", "text": subject, "weight": "Bolder", "wrap": self.wrap})
        card = {
            "type": "AdaptiveCard", "version": "1.4", "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "body": blocks,
        }  # fmt: skip
        attached = {"contentType": "application/vnd.microsoft.card.adaptive", "content": card}
        return Request(url=self.url.get_secret_value(), json={"type": "message", "attachments": [attached]})


class DiscordWebhook(WebhookBlock):
    """Tells a Discord channel; nobody is mentioned by what it is told."""

    _block_type_name = "Discord Webhook"
    _description = "Tells a Discord channel, by its webhook."
    # A message may have so many characters.
    MOST: ClassVar[int] = 2000

    webhook_id: SecretStr
    webhook_token: SecretStr
    botname: str | None = None
    tts: bool = False
    avatar_url: str | None = None
    base_url: str = "https://discord.com/api/webhooks"

    def request(self, body: str, subject: str | None) -> Request:
        text = f"**{subject}**\n{body}" if subject else body
        message: dict[str, Any] = {"content": text[: self.MOST], "tts": self.tts, "allowed_mentions": {"parse": []}}
        if self.botname is not None:
            message["username"] = self.botname
        if self.avatar_url is not None:
            message["avatar_url"] = self.avatar_url
        secret = f"{self.webhook_id.get_secret_value()}/{self.webhook_token.get_secret_value()}"
        return Request(url=f"{self.base_url}/{secret}", json=message)


class PagerDutyWebHook(WebhookBlock):
    """Triggers a PagerDuty event (Events API v2)."""

    _block_type_name = "Pager Duty Webhook"
    _description = "Triggers a PagerDuty event."
    REGIONS: ClassVar[dict[str, str]] = {
        "us": "https://events.pagerduty.com/v2/enqueue",
        "eu": "https://events.eu.pagerduty.com/v2/enqueue",
    }

    integration_key: SecretStr
    api_key: SecretStr | None = None  # of moved code; events need no other key
    source: str = "Penstock"
    component: str = "Notification"
    severity: Literal["critical", "error", "warning", "info"] = "warning"
    group: str | None = None
    class_id: str | None = None
    region_name: Literal["us", "eu"] = "us"
    clickable_url: str | None = None
    custom_details: dict[str, str] | None = None
    base_url: str | None = None

    def request(self, body: str, subject: str | None) -> Request:
        summary = f"{subject}: {body}" if subject else body
        payload: dict[str, Any] = {
            "summary": summary[:1024], "source": self.source, "component": self.component, "severity": self.severity,
            "custom_details": {"body": body, **(self.custom_details or {})},
        }  # fmt: skip
        if self.group is not None:
            payload["group"] = self.group
        if self.class_id is not None:
            payload["class"] = self.class_id
        event: dict[str, Any] = {
            "routing_key": self.integration_key.get_secret_value(), "event_action": "trigger", "payload": payload,
        }  # fmt: skip
        if self.clickable_url is not None:
            event["client_url"] = self.clickable_url
        return Request(url=self.base_url or self.REGIONS[self.region_name], json=event)


class OpsgenieWebhook(WebhookBlock):
    """Makes an Opsgenie alert."""

    _block_type_name = "Opsgenie Webhook"
    _description = "Makes an Opsgenie alert."
    REGIONS: ClassVar[dict[str, str]] = {
        "us": "https://api.opsgenie.com/v2/alerts", "eu": "https://api.eu.opsgenie.com/v2/alerts",
    }  # fmt: skip

    apikey: SecretStr
    target_user: list[str] | None = None
    target_team: list[str] | None = None
    target_schedule: list[str] | None = None
    target_escalation: list[str] | None = None
    region_name: Literal["us", "eu"] = "us"
    tags: list[str] | None = None
    priority: int = pydantic.Field(3, ge=1, le=5)
    alias: str | None = None
    entity: str | None = None
    details: dict[str, str] | None = None
    base_url: str | None = None

    def request(self, body: str, subject: str | None) -> Request:
        targets = {
            "user": ("username", self.target_user), "team": ("name", self.target_team),
            "schedule": ("name", self.target_schedule), "escalation": ("name", self.target_escalation),
        }  # fmt: skip
        responders = [{"type": kind, field: each} for kind, (field, all_) in targets.items() for each in all_ or ()]
        alert: dict[str, Any] = {
            "message": (subject or body)[:130], "description": body[:15_000], "priority": f"P{self.priority}",
            "source": "Penstock",
        }  # fmt: skip
        more = {
            "responders": responders, "tags": self.tags, "alias": self.alias, "entity": self.entity,
            "details": self.details,
        }  # fmt: skip
        alert |= {name: value for name, value in more.items() if value}
        headers = {"Authorization": f"GenieKey {self.apikey.get_secret_value()}"}
        return Request(url=self.base_url or self.REGIONS[self.region_name], headers=headers, json=alert)


class TwilioSMS(WebhookBlock):
    """Sends a text message to each of `to_phone_numbers`."""

    _block_type_name = "Twilio SMS"
    _description = "Sends text messages by Twilio."

    account_sid: str
    auth_token: SecretStr
    from_phone_number: str
    to_phone_numbers: list[str] = pydantic.Field(min_length=1)
    base_url: str = "https://api.twilio.com/2010-04-01"

    def deliver(self, body: str, subject: str | None) -> None:
        for number in self.to_phone_numbers:
            request = self.request(body, subject)
            assert request.form is not None
            request.form["To"] = number
            delivery.send(request, timeout=self.timeout, private=self.allow_private_urls)

    def request(self, body: str, subject: str | None) -> Request:
        text = f"{subject}\n{body}" if subject else body
        account = f"{self.account_sid}:{self.auth_token.get_secret_value()}"
        headers = {"Authorization": f"Basic {base64.b64encode(account.encode()).decode()}"}
        return Request(
            url=f"{self.base_url}/Accounts/{self.account_sid}/Messages.json", headers=headers,
            form={"From": self.from_phone_number, "Body": text[:1600]},
        )  # fmt: skip


class SendgridEmail(WebhookBlock):
    """Sends a mail by SendGrid."""

    _block_type_name = "Sendgrid Email"
    _description = "Sends mails by SendGrid."

    api_key: SecretStr
    sender_email: str
    to_emails: list[str] = pydantic.Field(min_length=1)
    base_url: str = "https://api.sendgrid.com/v3/mail/send"

    def request(self, body: str, subject: str | None) -> Request:
        message = {
            "personalizations": [{"to": [{"email": each} for each in self.to_emails]}],
            "from": {"email": self.sender_email},
            "subject": subject or _first_line(body),
            "content": [{"type": "text/plain", "value": body}],
        }
        headers = {"Authorization": f"Bearer {self.api_key.get_secret_value()}"}
        return Request(url=self.base_url, headers=headers, json=message)


class Email(NotificationBlock):
    """Sends a mail by a server of one's own (SMTP). `security` is starttls (port 587), tls (465) or none (25)."""

    _description = "Sends mails by SMTP."

    host: str
    sender: str
    to: list[str] = pydantic.Field(min_length=1)
    port: int = pydantic.Field(587, ge=1, le=65535)
    username: str | None = None
    password: SecretStr | None = None
    security: Literal["starttls", "tls", "none"] = "starttls"
    timeout: float = pydantic.Field(delivery.TIMEOUT, gt=0, le=300)

    def deliver(self, body: str, subject: str | None) -> None:
        from email.message import EmailMessage

        message = EmailMessage()
        try:
            message["From"], message["To"] = self.sender, ", ".join(self.to)
            message["Subject"] = _first_line(subject or body)
        except ValueError as error:  # an address with a line break in it would be more headers
            raise NotificationFailed(f"The mail cannot be made: {error}.") from None
        message.set_content(body)
        delivery.send_mail(
            message, host=self.host, port=self.port, username=self.username, security=self.security,
            password=None if self.password is None else self.password.get_secret_value(), timeout=self.timeout,
        )  # fmt: skip


class CustomWebhook(WebhookBlock):
    """Sends a request of one's own making. In its texts `{{subject}}`, `{{body}}`, `{{name}}` and the names of
    `secrets` stand for their values, which are put there once, and are no templates themselves.

    Example::

        CustomWebhook(
            name="alerts", url="https://example.org/alerts", json_data={"text": "{{subject}} {{body}}"},
            headers={"Authorization": "Bearer {{token}}"}, secrets={"token": "…"},
        ).save("alerts")
    """

    _block_type_name = "Custom Webhook"
    _description = "Sends a request of one's own making."

    name: str
    url: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    params: dict[str, str] | None = None
    json_data: dict[str, Any] | None = None
    form_data: dict[str, str] | None = None
    headers: dict[str, str] | None = None
    cookies: dict[str, str] | None = None
    secrets: dict[str, SecretStr] = {}

    @pydantic.model_validator(mode="after")
    def _one_body(self) -> CustomWebhook:
        if self.json_data is not None and self.form_data is not None:
            raise ValueError("json_data and form_data are two bodies; a request has one")
        return self

    def request(self, body: str, subject: str | None) -> Request:
        secrets = {name: value.get_secret_value() for name, value in self.secrets.items()}
        values = {**secrets, "subject": subject or "", "body": body, "name": self.name}
        url = _filled(self.url, {name: quote(value, safe="") for name, value in values.items()})
        if self.params:
            url += ("&" if "?" in url else "?") + urlencode(_filled(self.params, values))
        headers = dict(_filled(self.headers or {}, values))
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in _filled(self.cookies, values).items())
        return Request(
            url=url, method=self.method, headers=headers, json=_filled(self.json_data, values),
            form=_filled(self.form_data, values),
        )  # fmt: skip


CustomWebhookNotificationBlock = CustomWebhook


def _filled(template: Any, values: dict[str, str]) -> Any:
    """The template with its placeholders filled, in one pass."""
    if isinstance(template, str):
        return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda found: values.get(found[1], found[0]), template)
    if isinstance(template, dict):
        return {key: _filled(each, values) for key, each in template.items()}
    if isinstance(template, list):
        return [_filled(each, values) for each in template]
    return template


def _first_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[0][:200] if lines else "Penstock"
