"""Real programs as `torch.export.save` writes them, and a way to put something else into one."""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # torch_archives.py is shared by this folder's tests


@pytest.fixture(scope="session")
def programs(tmp_path_factory, images) -> dict[str, bytes]:
    """One segment with an early exit as eager exports it, by its quantization."""
    import torch

    from explorer.models.slimmable_cnn import build
    from explorer.runtimes.eager import Eager
    from explorer.runtimes.runtime import ExportJob

    torch.manual_seed(0)
    network = build(10, (3, 16, 16), [120.0] * 3, [60.0] * 3).materialize(0.25)
    root = tmp_path_factory.mktemp("programs")
    made = {}
    for quantization in ("none", "dynamic_int8"):
        (root / quantization).mkdir()
        Eager().export(ExportJob(network, True, quantization, images[:8], root), root / quantization)
        made[quantization] = (root / quantization / "segment_0.pt2").read_bytes()
    return made


@pytest.fixture(scope="session")
def rewritten(tmp_path_factory) -> Callable[[bytes, Mapping[str, bytes | None]], bytes]:
    """Writes an archive of torch's anew, with other members: name -> content, None for no such member."""
    import torch

    file = tmp_path_factory.mktemp("rewritten") / "segment_0.pt2"

    def rewrite(content: bytes, changes: Mapping[str, bytes | None]) -> bytes:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
        for name in (".data/version", ".data/serialization_id", "byteorder"):
            members.pop(name, None)  # the writer has its own
        writer = torch._C.PyTorchFileWriter(str(file))
        writer.set_min_version(6)
        for name, member in {**members, **changes}.items():
            if member is not None:
                writer.write_record(name, member, len(member))
        writer.write_end_of_file()
        return Path(file).read_bytes()

    return rewrite
