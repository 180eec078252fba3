"""`python -m app.embedded.alga_tables`: Alga's tables for a trial without Alga, as docker-compose.yaml makes one."""

import asyncio
import sys

from activities.alga.development import AlgaOwnsDatabaseError, create_development_tables
from app.settings import Settings, SettingsError
from migrations.upgrade import admin_engine


def main() -> None:
    """Make the tables that are missing; exits 1 outside development and where Alga manages the database."""
    try:
        settings = Settings.load()
        if settings.environment != "development":
            sys.exit(
                "Alga's tables are made with ENVIRONMENT=development only; elsewhere Alga's own migrations make them"
            )
        made = asyncio.run(_make_tables(settings))
    except (SettingsError, AlgaOwnsDatabaseError) as error:
        sys.exit(str(error))
    print(f"made {len(made)} of Alga's tables")  # noqa: T201 - the program's output


async def _make_tables(settings: Settings) -> list[str]:
    engine = admin_engine(settings.admin_database)
    try:
        async with engine.begin() as connection:
            return await create_development_tables(connection)
    finally:
        await engine.dispose()


if __name__ == "__main__":
    main()
