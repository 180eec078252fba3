"""`alga-tenants archives`: takes archives of other installations into the store."""

import asyncio
import tarfile
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.audit.events import Action
from activities.export.archive import Manifest
from activities.export.restore.importing import ImportRefusedError, import_archive
from activities.export.rows import insert_imported
from activities.export.storage import StorageError, open_store
from activities.tenants.export import KeptArchives
from app.audit.recorder import audit_trail
from app.auth.callers import operator
from app.cli.connection.settings import load_settings
from app.cli.console import fail, print_json, visible
from app.cli.exit_codes import ExitCode
from app.cli.maintenance.database import database_outages
from app.cli.operations.verification import unpacked
from app.cli.options import AsJson
from app.database import worker_engine
from app.exports import kept_archives
from app.settings import Settings

app = typer.Typer(help="Import archives of other installations.", no_args_is_help=True)


@app.callback()
def archives() -> None:
    """Keep `import` a subcommand, since it is the only one."""


@app.command("import")
def import_(
    path: Annotated[
        Path,
        typer.Argument(exists=True, metavar="PATH", help="A folder of `exports download`, or a tar of the content."),
    ],
    *,
    manifest_sha256: Annotated[
        str, typer.Option(metavar="HASH", help="SHA-256 of the manifest, as `exports show` has it there.")
    ],
    as_json: AsJson = False,
) -> None:
    """Store an archive of another installation, so that its tenant can be restored here.

    The archive is verified first, and kept for EXPORT_RETENTION. Needs the
    settings of a worker. `restores create` restores the tenant.

    Exits with 1 if the archive is damaged.
    """
    settings = load_settings(Settings, as_json=as_json)
    try:
        kept = kept_archives(settings)
        if kept is None:
            fail("EXPORT_URL is not set, so there is no place for the archive", ExitCode.INVALID)
        with unpacked(path.resolve()) as folder:
            manifest = asyncio.run(_import(settings, kept, folder, manifest_sha256))
    except ImportRefusedError as error:
        for fault in error.faults:
            typer.echo(visible(str(fault)), err=True)
        raise typer.Exit(ExitCode.FAILED) from None
    except (OSError, StorageError, tarfile.TarError) as error:
        fail(f"{path} can't be imported: {error}", ExitCode.INVALID)
    if as_json:
        print_json({"exportId": manifest.export_id, "tenantId": str(manifest.tenant_id)})
    else:
        typer.echo(f"imported: alga-tenants restores create {manifest.export_id}")


async def _import(settings: Settings, kept: KeptArchives, folder: Path, manifest_sha256: str) -> Manifest:
    source = open_store(folder.parent.as_uri())
    manifest, target = await import_archive(
        source, folder.name, kept.store, manifest_sha256=manifest_sha256, mac_key=kept.mac_key
    )
    engine = worker_engine(settings)
    try:
        with database_outages("ADMIN_DATABASE_URL", settings.admin_database):
            is_new = await _record(settings, engine, kept, manifest, target)
    except BaseException:
        await kept.store.delete_prefix(target)
        raise
    finally:
        await engine.dispose()
    if not is_new:
        await kept.store.delete_prefix(target)
        fail(f"export {manifest.export_id} has an archive here already", ExitCode.CONFLICT)
    return manifest


async def _record(
    settings: Settings, engine: AsyncEngine, kept: KeptArchives, manifest: Manifest, folder: str
) -> bool:
    """Insert the row of the archive; False if there is one."""
    requester = operator()
    async with engine.begin() as connection:
        is_new = await insert_imported(
            connection,
            manifest,
            folder=folder,
            expires_at=func.now() + kept.retention,
            requested_by=requester.origin().requested_by,
            requested_via=requester.origin().requested_via,
        )
        if is_new:
            event = requester.audit_event(
                Action.EXPORT_IMPORT, tenant_id=manifest.tenant_id, subject=manifest.export_id
            )
            await audit_trail(settings).append(connection, event)
    return is_new
