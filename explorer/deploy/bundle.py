"""The bundle: the measured files, what classifies with them, and the manifest that the rest is checked against."""

from __future__ import annotations

import shutil
from importlib.metadata import version
from pathlib import Path

from explorer.deploy.facts import Departure, file_facts
from explorer.deploy.manifest import MANIFEST, MODEL, SAMPLES, Manifest
from explorer.deploy.run_file import run_file
from explorer.deploy.seal import sealed

_DOCKERFILE = """\
# docker build -t {name} . && docker run --rm -v "$PWD/images:/images:ro" {name} /images
FROM python:{python}-slim
WORKDIR /bundle
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
COPY . .
USER nobody
ENTRYPOINT ["python", "run.py"]
"""


def write_bundle(folder: Path, departure: Departure, card: str, picture: str) -> Manifest:
    """Fill the empty `folder`; `card` becomes README.md, `picture` front.svg. Returns the manifest. Raises OSError."""
    manifest = departure.manifest
    (folder / MODEL).mkdir()
    for name in manifest.files:
        shutil.copyfile(departure.artifact.folder / Path(name).name, folder / name)
    (folder / SAMPLES).write_bytes(departure.samples)
    texts = {
        "run.py": run_file(manifest.execution.runtime),
        "requirements.txt": requirements(manifest),
        "Dockerfile": _dockerfile(manifest),
        "README.md": card,
        "front.svg": picture,
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    written = {name: file_facts(folder / name) for name in (*manifest.files, SAMPLES, *texts)}
    whole = manifest.model_copy(update={"files": written})
    text = sealed(whole.model_dump_json(indent=1) + "\n")
    (folder / MANIFEST).write_text(text, encoding="utf-8")
    return Manifest.model_validate_json(text)


def requirements(manifest: Manifest) -> str:
    """requirements.txt: NumPy, Pillow and the runtime, in the versions that it was measured with."""
    needed = {
        "numpy": manifest.provenance.software.get("numpy") or version("numpy"),
        "pillow": version("pillow"),
        **manifest.execution.packages,
    }
    return "".join(f"{name}=={number}\n" for name, number in sorted(needed.items()))


def _dockerfile(manifest: Manifest) -> str:
    python = ".".join(str(manifest.provenance.software["python"]).split(".")[:2])
    return _DOCKERFILE.format(name=manifest.name.lower(), python=python)
