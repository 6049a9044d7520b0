"""The store that the settings name."""

from orchestrator.errors import DataFolderError
from orchestrator.settings import Settings
from orchestrator.storage.folder import FolderStore
from orchestrator.storage.protocol import Note, Store


def open_store(settings: Settings, note: Note) -> Store:
    """A folder in the data folder, or what `storage_url` names.

    Raises:
        DataFolderError: the URL, the credentials or the installation do not do.
    """
    if settings.storage_url is None:
        folder = FolderStore(settings.store_dir, note)
        folder.remove_leftovers()
        return folder
    try:
        from orchestrator.storage.s3 import open_s3
    except ModuleNotFoundError as error:
        raise DataFolderError(f"--storage-url needs {error.name}: pip install 'fedelta[orchestrator]'") from None
    return open_s3(settings.storage_url, note=note)
