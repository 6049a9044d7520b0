"""Makes a plan of a pushed `.keras` model, in a child process.

The server itself never loads TensorFlow: a child does, is bounded in time, and takes its memory with it when it ends.
"""

import asyncio
import contextlib
import importlib.util
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from orchestrator.errors import InvalidRequestError, OrchestratorError
from wire.errors import ErrorCode

_ONE_AT_A_TIME = asyncio.Semaphore(1)


async def export_model(model_path: Path, settings: dict[str, Any], timeout_seconds: float) -> bytes:
    """The bytes of the plan that `fedelta export` makes of a `.keras` file.

    Args:
        settings: the training settings, by the names of the command's options.

    Raises:
        InvalidRequestError: the model or the settings were refused; the message names layer and op.
        OrchestratorError: this server cannot export, or the export took too long.
    """
    if importlib.util.find_spec("tensorflow") is None:
        raise OrchestratorError(
            ErrorCode.EXPORT_UNAVAILABLE,
            "this server was installed without fedelta[export]; push a plan made by `fedelta export`, or install it",
        )
    async with _ONE_AT_A_TIME:
        with tempfile.TemporaryDirectory(prefix="fedelta-export-") as folder:
            return await _export_in(Path(folder), model_path, settings, timeout_seconds)


async def _export_in(folder: Path, model_path: Path, settings: dict[str, Any], timeout_seconds: float) -> bytes:
    settings_path, plan_path = folder / "settings.json", folder / "model.plan"
    settings_path.write_text(json.dumps(settings))
    command = ["-m", "federated", "export", str(model_path), "--out", str(plan_path)]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        "--settings",
        str(settings_path),
        "--errors",
        "json",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, stderr = await asyncio.wait_for(process.communicate(), timeout_seconds)
    except TimeoutError:
        raise OrchestratorError(
            ErrorCode.EXPORT_FAILED, f"the export took longer than {timeout_seconds:g} s and was stopped"
        ) from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    if process.returncode != 0 or not plan_path.exists():
        raise InvalidRequestError(_reason(stderr), ErrorCode.EXPORT_FAILED)
    return plan_path.read_bytes()


def _reason(stderr: bytes) -> str:
    """The message of the last JSON line of a child's standard error; its last line where there is none."""
    lines = stderr.decode(errors="replace").strip().splitlines() or ["the export ended without a word"]
    for line in reversed(lines):
        with contextlib.suppress(ValueError, KeyError, TypeError):
            return str(json.loads(line)["message"])
    return lines[-1][:1000]
