"""When gateways bring the money to the bank: every midnight by the clock where that was set, else by order alone."""

from __future__ import annotations

from sandbox.razorpay import settling
from sandbox.stripe import paying_out
from sandbox.world import World

SETTING = "daily_payouts"
ENDS = "payouts.day_ends"
_EVERY_DAY = "every day"
_DAY = 24 * 3600


def are_daily(world: World) -> bool:
    return world.store.setting(SETTING) is True


def follow(world: World) -> None:
    """The setting is as it is now: the next midnight is entered, or no midnight is."""
    if are_daily(world):
        world.agenda.enter((world.clock.now() // _DAY + 1) * _DAY, ENDS, _EVERY_DAY)
    else:
        world.agenda.strike(ENDS, _EVERY_DAY)


def enter(world: World) -> None:
    """Tells the clock what happens at the end of a day."""
    world.agenda.on(ENDS, lambda _: _end_day(world))


def _end_day(world: World) -> None:
    paying_out.pay_out(world)
    settling.settle(world)
    follow(world)
