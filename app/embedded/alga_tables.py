"""`python -m app.embedded.alga_tables`: Alga's tables for a trial without Alga, as docker-compose.yaml runs it."""

import asyncio
import sys

from activities.alga.development import AlgaOwnsDatabaseError, create_development_tables, create_management_tenant
from activities.alga.tables import tenants
from app.settings import Settings, SettingsError
from migrations.revisions import admin_engine


async def main() -> None:
    """Create the missing tables; exits with 1 outside development, or if Alga manages the database."""
    try:
        settings = Settings.load()
        if settings.environment != "development":
            sys.exit("this needs ENVIRONMENT=development; elsewhere Alga's own migrations create Alga's tables")
        engine = admin_engine(settings.admin_database)
        try:
            async with engine.begin() as connection:
                created = await create_development_tables(connection)
                if tenants.name in created:
                    await create_management_tenant(connection)
        finally:
            await engine.dispose()
    except (SettingsError, AlgaOwnsDatabaseError) as error:
        sys.exit(str(error))
    print(f"created {len(created)} of Alga's tables")  # noqa: T201 - the program's output


if __name__ == "__main__":
    asyncio.run(main())
