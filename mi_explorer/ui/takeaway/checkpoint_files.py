"""A blend as a checkpoint for a visitor: into a folder that the operator allows, or as one zip for a small pair.

`merging.export` streams, stages and reads back; nothing stands at the target before that, and whatever fails leaves nothing.
"""

import os
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

from mi_explorer.checkpoints.parents import Parents
from mi_explorer.pairs import Pair
from mi_explorer.paths import ASSETS
from mi_explorer.recipe import Recipe
from mi_explorer.ui.access.access_policy import ANYWHERE, AccessPolicy
from mi_explorer.ui.file_jobs import FileResult, ReportProgress
from mi_explorer.untyped import JsonObject

MAX_ZIP_BYTES = 256 << 20  # bytes of tensors that a download may have
COPY_BYTES = 1 << 20


def slug(text: str, most: int = 60) -> str:
    """A file name of plain characters that still says what it is."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.")[:most].strip("-.") or "unnamed"


def export_name(recipe: Recipe, pair: Pair) -> str:
    """The folder's name: pair, method, λ and the recipe's hash."""
    known = pair.name if "|" not in pair.name else Path(pair.instruct).name
    return f"{slug(known, 40)}-{slug(recipe.method)}-{recipe.lam:g}-{recipe.hash[:6]}"


def export_bytes(parents: Parents) -> int:
    """Bytes of tensors that an export of these parents has."""
    return sum(parents.entry("instruct", name).numel * parents.dtype(name).itemsize for name in parents.names())


def export_places(
    recipe: Recipe, pair: Pair, bytes: int, access: AccessPolicy, home: Path | None, open_page: bool
) -> JsonObject:
    """Where this visitor may have it: `{"name", "bytes", "folder", "download", "why"}`.

    `folder` is a suggestion, "" where none may be named.
    A page that is open to the network hands out only blends of the shipped models: weights that an operator loaded are theirs.
    """
    name = export_name(recipe, pair)
    if ANYWHERE in access.folders:
        folder = str((home or Path.home() / "mi-explorer") / "exports" / name)
    else:
        folder = os.path.join(access.folders[0], name) if access.folders else ""
    shipped = all(ASSETS.resolve() in Path(part).resolve().parents for part in (pair.instruct, pair.thinking))
    small, free = bytes <= MAX_ZIP_BYTES, shipped or not open_page
    why = []
    if not folder:
        why.append("The operator of this page allows no folders to export into.")
    if not small:
        why.append(
            f"A download may have at most {MAX_ZIP_BYTES >> 20} MB, and this checkpoint has {bytes / 1e6:,.0f} MB; "
            "write it into a folder instead."
        )
    elif not free:
        why.append("This page is open to others, so it hands out only blends of the models that come with it.")
    return {"name": name, "bytes": bytes, "folder": folder, "download": small and free, "why": " ".join(why)}


def checkpoint_work(recipe: Recipe, pair: Pair, target: Path | None) -> Callable[[Path, ReportProgress], FileResult]:
    """The work of a file job: into `target`, or, without one, as a zip in the job's own folder."""

    def make(folder: Path, report: ReportProgress) -> FileResult:
        from mi_explorer.merging.blend import bind
        from mi_explorer.merging.export import export_checkpoint

        name = export_name(recipe, pair)
        report("Opening the parents", 0, 0)
        parents = Parents.open(pair)
        try:
            done = export_checkpoint(
                bind(recipe, parents),
                target or folder / name,
                progress=lambda n, all: report("Writing and checking the tensors", n, all),
            )
        finally:
            parents.close()
        about = f"{done.bytes / 1e6:,.1f} MB in {done.tensors:,} tensors, read back and checked"
        if target is not None:
            return FileResult(f"Written to {target}: {about}.")
        packed = zip_folder(folder / name, folder / f"{name}.zip", report)
        shutil.rmtree(folder / name)
        return FileResult(f"{packed.name}: {about}.", packed)

    return make


def zip_folder(folder: Path, out: Path, report: ReportProgress) -> Path:
    """A folder of files as a zip with that folder in it, stored as they are (weights do not compress)."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    total, done = sum(p.stat().st_size for p in files), 0
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for path in files:
            info = zipfile.ZipInfo.from_file(path, f"{folder.name}/{path.relative_to(folder).as_posix()}")
            with path.open("rb") as source, archive.open(info, "w", force_zip64=True) as packed:
                while piece := source.read(COPY_BYTES):
                    packed.write(piece)
                    done += len(piece)
                    report("Packing", done, total)
    return out
