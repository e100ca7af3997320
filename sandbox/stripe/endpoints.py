"""Webhook endpoints: each with its own secret, version and types; one may be given at the start, by the environment."""

from __future__ import annotations

from sandbox.ids import new_id
from sandbox.store import Json
from sandbox.stripe import billing_settings, lists, versions
from sandbox.stripe.calls import GATEWAY, Call
from sandbox.stripe.errors import StripeError, missing
from sandbox.webhooks import Secrets
from sandbox.world import World

KIND = "webhook_endpoint"

#: The endpoint that the start was told of. Its secret stays in memory.
CONFIGURED = "we_1FromTheEnvironment000000"


def configure(world: World) -> None:
    """Makes the endpoint that the start was told of, or takes it away when the start was told of none."""
    url = world.options.stripe_webhook_url
    if url is None:
        world.store.remove(GATEWAY, KIND, CONFIGURED)
        return
    endpoint = _endpoint(CONFIGURED, url, ["*"], None, world.clock.now())
    world.store.put(GATEWAY, KIND, endpoint, created=endpoint["created"])


def listening(world: World, kind: str) -> list[Json]:
    """The enabled endpoints that want events of this type."""
    return [
        endpoint
        for endpoint in world.store.all(GATEWAY, KIND)
        if endpoint["status"] == "enabled" and any(matches(kind, pattern) for pattern in endpoint["enabled_events"])
    ]


def version_of(world: World, endpoint: Json) -> str:
    """In which version its events are shown; for the one of the start, the sandbox's settings may say another."""
    if endpoint["id"] == CONFIGURED:
        return str(billing_settings.read(world, "stripeWebhookVersion"))
    return str(endpoint["api_version"] or versions.DEFAULT_VERSION)


def payload_of(world: World, endpoint: Json) -> str:
    """Whether its events hold their object; for the one of the start, the sandbox's settings may say otherwise."""
    return str(billing_settings.read(world, "stripeEventPayload")) if endpoint["id"] == CONFIGURED else "snapshot"


def matches(kind: str, pattern: str) -> bool:
    """``*`` is every type, ``charge.*`` everything about charges."""
    if pattern.endswith("*"):
        return kind.startswith(pattern[:-1])
    return kind == pattern


def secrets_of(world: World, endpoint_id: str) -> Secrets | None:
    """What signs this endpoint's deliveries; None once it is gone or disabled, and then nothing is sent to it."""
    endpoint = world.store.find(GATEWAY, KIND, endpoint_id)
    if endpoint is None or endpoint["status"] != "enabled":
        return None
    if endpoint_id == CONFIGURED:
        current = world.options.stripe_webhook_secret
        return None if current is None else Secrets(current, world.options.stripe_old_webhook_secret)
    rows = world.store.run("SELECT secret FROM secrets WHERE endpoint = ?", endpoint_id)
    return Secrets(str(rows[0]["secret"]))


def told(world: World) -> list[Json]:
    """Every endpoint as the sandbox's status shows it; never a secret."""
    return [
        {
            "gateway": GATEWAY,
            "id": endpoint["id"],
            "url": endpoint["url"],
            "enabled": endpoint["status"] == "enabled",
            "types": endpoint["enabled_events"],
            "version": version_of(world, endpoint),
            "oldSecret": (secrets := secrets_of(world, endpoint["id"])) is not None and secrets.old is not None,
        }
        for endpoint in world.store.all(GATEWAY, KIND)
    ]


def create(call: Call) -> Json:
    """Its secret is in this answer and in no other."""
    parameters = call.parameters
    url, kinds = parameters.url("url"), parameters.texts("enabled_events")
    version = parameters.text("api_version")
    description, metadata = parameters.text("description"), parameters.metadata()
    parameters.accept(["connect"])
    parameters.refuse_rest()
    if url is None:
        raise missing("url")
    if not kinds:
        raise missing("enabled_events")
    if version is not None and not versions.is_version(version):
        raise StripeError(f"Invalid API version: {version}", param="api_version")
    endpoint = _endpoint(new_id("we_1", 23), url, kinds, version, call.world.clock.now())
    endpoint |= {"description": description, "metadata": metadata}
    secret = new_id("whsec_", 32)
    call.keep(KIND, endpoint)
    call.world.store.run("INSERT INTO secrets (endpoint, secret) VALUES (?, ?)", endpoint["id"], secret)
    return {**endpoint, "secret": secret}


def retrieve(call: Call) -> Json:
    call.parameters.refuse_rest()
    return call.find(KIND, call.ids["id"], "webhook_endpoint")


def update(call: Call) -> Json:
    """Its version cannot be changed, here as at Stripe: ``api_version`` is an unknown parameter."""
    endpoint = call.find(KIND, call.ids["id"], "webhook_endpoint")
    parameters = call.parameters
    endpoint["url"] = parameters.url("url") or endpoint["url"]
    endpoint["enabled_events"] = parameters.texts("enabled_events") or endpoint["enabled_events"]
    endpoint["description"] = parameters.text("description") or endpoint["description"]
    endpoint["metadata"] = parameters.metadata(endpoint["metadata"])
    disabled = parameters.flag("disabled")
    parameters.refuse_rest()
    if disabled is not None:
        endpoint["status"] = "disabled" if disabled else "enabled"
    return call.keep(KIND, endpoint)


def delete(call: Call) -> Json:
    call.parameters.refuse_rest()
    endpoint = call.find(KIND, call.ids["id"], "webhook_endpoint")
    call.world.store.remove(GATEWAY, KIND, endpoint["id"])
    call.world.store.run("DELETE FROM secrets WHERE endpoint = ?", endpoint["id"])
    return {"id": endpoint["id"], "object": KIND, "deleted": True}


def list_endpoints(call: Call) -> Json:
    return lists.page(call, KIND, "/v1/webhook_endpoints")


def _endpoint(endpoint_id: str, url: str, kinds: list[str], version: str | None, now: int) -> Json:
    return {
        "id": endpoint_id,
        "object": KIND,
        "api_version": version,
        "application": None,
        "created": now,
        "description": None,
        "enabled_events": kinds,
        "livemode": False,
        "metadata": {},
        "status": "enabled",
        "url": url,
    }
