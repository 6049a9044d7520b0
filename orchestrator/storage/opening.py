"""The store that the settings name."""

from pathlib import Path

from orchestrator.errors import DataFolderError
from orchestrator.settings import Settings
from orchestrator.storage.folder import FolderStore
from orchestrator.storage.protocol import Note, Store

_FILE = "file://"


def open_store(settings: Settings, note: Note) -> Store:
    """A folder in the data folder, or what `storage_url` names.

    Raises:
        DataFolderError: the URL, the credentials or the installation do not do.
    """
    if settings.storage_url is None:
        folder = FolderStore(settings.store_dir, note)
        if settings.database_url is None:
            folder.remove_leftovers()
        return folder
    if settings.storage_url.startswith(_FILE):
        return FolderStore(Path(settings.storage_url.removeprefix(_FILE)), note)
    try:
        from orchestrator.storage.s3 import open_s3
    except ModuleNotFoundError as error:
        raise DataFolderError(f"--storage-url needs {error.name}: pip install 'fedelta[orchestrator]'") from None
    return open_s3(settings.storage_url, note=note)
