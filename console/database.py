"""Bring the database up to date, or say in a sentence why that cannot be."""

from __future__ import annotations

import asyncpg

from db.migrate import MigrationError, migrate


class NotUpToDate(Exception):
    """The database could not be migrated. The message says why, without the password; a person must look."""


async def bring_up_to_date(url: str) -> list[str]:
    """The names of the migrations that were missing, now applied."""
    try:
        return await migrate(url)
    except MigrationError as error:
        raise NotUpToDate(f"{error}.") from error
    except (ValueError, asyncpg.InterfaceError) as error:
        # What is wrong with an address is not quoted: a part of it is a password.
        raise NotUpToDate(f"DATABASE_URL is not an address that can be used ({type(error).__name__}).") from error
    except (OSError, asyncpg.PostgresError) as error:
        raise NotUpToDate(f"The database does not answer as it should: {type(error).__name__}: {error}") from error
