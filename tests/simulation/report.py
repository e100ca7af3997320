"""What a run has to tell, on one screen; and the story of the first wrong order where there is one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from tests.simulation.figures import Slowest
from tests.simulation.run import Outcome

#: Broken promises that are shown one by one; the rest is counted.
SHOWN = 20


def is_kept(outcome: Outcome, *, keep_bounds: bool) -> bool:
    """Whether the run may be called good."""
    return not outcome.broken and (not keep_bounds or all(each.is_in_bounds for each in outcome.slowest))


def told(outcome: Outcome) -> str:
    """All of it, figures first."""
    return "\n".join((*_figures(outcome), *_failures(outcome), _verdict(outcome)))


def _figures(outcome: Outcome) -> Iterator[str]:
    books, truth, chaos, mail = outcome.books, outcome.truth, outcome.chaos, outcome.mail
    standings = (row["standing"] for row in books.payments.values() if row["standing"])
    yield f"visits      {len(outcome.visits)}: {_counted(visit.wish for visit in outcome.visits)}"
    yield f"orders      {_counted(row['status'] for row in books.orders.values())}"
    yield f"moves       {_listed(books.causes)}"
    yield f"payments    {len(truth.taken)} taken: {_counted(each.gateway for each in truth.taken)}; here {_counted(standings)}"
    yield f"subscribed  {_counted(row['status'] for row in books.subscriptions.values())}; at the gateways {_begun(outcome)}"
    yield f"went back   refunds {_counted(row['status'] for row in books.refunds)}; disputes {_counted(row['status'] for row in books.disputes)}"
    yield f"booked      {_counted(row['kind'] for row in books.movements)}"
    yield f"differences {_counted(row['kind'] for row in books.discrepancies)}"
    yield f"deliveries  {mail.attempts} attempts at {len(mail.sent)} events; {len(outcome.worked)} events worked"
    yield f"faults      {_listed(outcome.injected)}"
    yield f"spells      {_listed(chaos.ordered)}"
    yield f"blows       {_counted(blow.kind for blow in chaos.struck)}"
    yield f"time        {chaos.skipped_seconds / 3600:.1f} hours skipped under fire; {_listed(chaos.runs)}"
    yield (
        f"speed       {len(truth.taken) / outcome.drive_seconds:.1f} payments a second for {outcome.drive_seconds:.0f} s,"
        f" at most {outcome.meter.owed_most} rows owed; settled in {outcome.settle_seconds:.0f} s,"
        f" compared in {outcome.check_seconds:.0f} s"
    )
    yield f"processor   milliseconds a payment: {_listed(_spent(outcome))}"
    yield from map(_slowest, outcome.slowest)


def _begun(outcome: Outcome) -> str:
    begun = [each for each in outcome.truth.billing.subscriptions if each.has_begun]
    paid = sum(invoice.is_paid and invoice.is_renewal for each in begun for invoice in each.invoices)
    return f"{len(begun)} begun, {paid} renewals paid"


def _spent(outcome: Outcome) -> dict[str, int]:
    taken = max(len(outcome.truth.taken), 1)
    return {name: round(1000 * seconds / taken) for name, seconds in outcome.meter.cpu_seconds.items()}


def _slowest(each: Slowest) -> str:
    bound = f"bound {each.bound:g} s" if each.bound else "no bound"
    mark = "" if each.is_in_bounds else ", TOO SLOW"
    event = f"{each.event.event_type} {each.event.event_id}" if each.event else "none"
    return (
        f"slowest     {each.seconds:5.2f} s after {each.kind} ({bound}{mark}): {each.blows} blows,"
        f" back after {each.back_seconds:.1f} s at most, {each.events} events; {event}"
    )


def _failures(outcome: Outcome) -> Iterator[str]:
    for broken in outcome.broken[:SHOWN]:
        yield f"BROKEN      {broken.promise}: {broken.says} (order {broken.order_id})"
    if outcome.broken:
        yield f"BROKEN      {len(outcome.broken)} times: {_counted(each.promise for each in outcome.broken)}"
        yield outcome.story


def _verdict(outcome: Outcome) -> str:
    slow = sum(not each.is_in_bounds for each in outcome.slowest)
    promises = "PROMISES WERE BROKEN" if outcome.broken else "every promise was kept"
    return f"seed {outcome.wanted.seed}: {promises}; {slow} of the bounds were exceeded"


def _counted(names: Iterable[str]) -> str:
    return _listed(Counter(names))


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in Counter(counts).most_common()) or "none"
