"""The desk's process: ``python -m console``, for an image without the development servers."""

from __future__ import annotations

from console.cli import app
from console.values import DeskValues, WrongSettings


def load() -> DeskValues:
    """What the desk needs of the settings, as plain values; read by the commands that need them, and by no other."""
    import settings
    from gateways.registry import GATEWAYS
    from workers.apply import Book
    from workers.clock import business_clock
    from workers.webhook_events import Account, Desk

    try:
        environment = settings.load()
    except settings.SettingsError as error:
        raise WrongSettings(f"{error}.") from error
    desk = Desk(
        gateways=GATEWAYS,
        accounts={
            "stripe": Account(environment.stripe.livemode, environment.stripe.account_id),
            "razorpay": Account(environment.razorpay.livemode, environment.razorpay.account_id),
        },
        book=Book(
            environment.instance_id,
            environment.late_success,
            business_clock(environment.development_clock),
            dunning=environment.dunning,
        ),
    )
    return DeskValues(
        database_url=environment.database_url.get_secret_value(),
        redis_url=environment.redis_url.get_secret_value(),
        gateways=environment.gateways,
        desk=desk,
    )


if __name__ == "__main__":
    app(prog_name="counterfoil", obj=load)
