"""A real Chromium for the tests of pages: at a phone's width and a desk's, failing on whatever its console complains of."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright import async_api as playwright

CHROMIUM = Path("/usr/bin/chromium")

#: For a module of page tests: ``pytestmark = needs_chromium``.
needs_chromium = pytest.mark.skipif(not CHROMIUM.exists(), reason="needs /usr/bin/chromium")

Browser = playwright.Browser
Size = playwright.ViewportSize

PHONE = Size(width=360, height=740)
DESK = Size(width=1280, height=800)

#: Of real time: a poll is due every two seconds.
PATIENCE_MS = 15_000


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser; what it keeps, it keeps for each context apart."""
    async with (
        playwright.async_playwright() as driver,
        await driver.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"]) as browser,
    ):
        yield browser


@asynccontextmanager
async def browsing(browser: Browser, size: Size = DESK, **more: Any) -> AsyncIterator[Any]:
    """A page in a context of its own that complains about nothing: an error on its console fails the test."""
    complaints: list[str] = []
    async with await browser.new_context(viewport=size, **more) as context:
        page = await context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        yield page
    assert complaints == []


async def picture(page: Any, name: str) -> None:
    """For who wants to look at it: where PAGE_PICTURES names a folder."""
    if folder := os.environ.get("PAGE_PICTURES"):
        await page.screenshot(path=f"{folder}/{name}.png")
