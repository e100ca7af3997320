"""Every recorded event of every gateway, delivered with a good signature: kept byte for byte, whatever its shape."""

from __future__ import annotations

import pytest

from db.pool import Pool
from tests.contract.recorded import event_files, needs_fixtures
from tests.front_door import front_door


@needs_fixtures
@pytest.mark.parametrize("gateway", ["stripe", "razorpay"])
async def test_every_recorded_event_is_kept_as_it_is(pool: Pool, database_url: str, gateway: str) -> None:
    recorded = [path.read_bytes() for path in event_files(gateway)]

    async with front_door(database_url) as door:
        deliver = door.stripe if gateway == "stripe" else door.razorpay
        statuses = {(await deliver(body)).status_code for body in recorded}

    assert statuses == {200}
    kept = await pool.fetch("SELECT payload_raw FROM webhook_events WHERE payload IS NOT NULL")
    assert {bytes(row["payload_raw"]) for row in kept} == set(recorded)
