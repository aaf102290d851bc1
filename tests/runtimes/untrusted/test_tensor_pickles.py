"""Pickles that are not tensors: each is refused by reading its instructions, and none is ever opened."""

from __future__ import annotations

import os
import pickle

import pytest
from torch_archives import archive

from explorer.runtimes.untrusted import tensor_pickles
from explorer.runtimes.untrusted.files import UnsafeFile
from explorer.runtimes.untrusted.stored_zip import stored_members
from explorer.runtimes.untrusted.tensor_pickles import check_tensor_pickle


class Payload:
    """Calls something when it is unpickled."""

    def __init__(self, callee, *arguments) -> None:
        self._made_by = (callee, arguments)

    def __reduce__(self):
        return self._made_by


def pickled(content: bytes, **others: bytes) -> memoryview:
    """As `torch.save` packs a pickle; `others` lie beside it."""
    members = [("archive/data.pkl", content), *((f"archive/{name}", part) for name, part in others.items())]
    return memoryview(archive(members))


def storage(n: int, type_name: str = "FloatStorage", key: str = "0") -> bytes:
    """The instructions that push a storage of n values."""
    count = b"M" + n.to_bytes(2, "little")
    kind, place = b"X\x07\0\0\0storage", b"X\x03\0\0\0cpu"
    return b"(" + kind + b"ctorch\n" + type_name.encode() + b"\nX\x01\0\0\0" + key.encode() + place + count + b"tQ"


def tensor(n: int, type_name: str = "FloatStorage") -> bytes:
    """A pickle of one tensor of n values."""
    numbers = b"K\0M" + n.to_bytes(2, "little") + b"\x85K\x01\x85\x89ccollections\nOrderedDict\n)R"
    return b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + storage(n, type_name) + numbers + b"tR."


@pytest.mark.parametrize("quantization", ["none", "dynamic_int8"])
def test_check_what_torch_writes_passes(programs, quantization):
    members = stored_members(programs[quantization])
    pickles = [part for part in members.values() if bytes(part[:4]) == b"PK\3\4"]
    assert len(pickles) == {"none": 0, "dynamic_int8": 1}[quantization]
    for part in pickles:
        check_tensor_pickle(part)


def test_check_tensor_with_its_own_bytes_passes():
    check_tensor_pickle(pickled(tensor(4), **{"data/0": b"\0" * 16}))


@pytest.mark.parametrize("n_bytes", [0, 12, 15, 17, 20])
def test_check_tensor_that_would_read_past_its_bytes_is_refused(n_bytes):
    with pytest.raises(UnsafeFile, match="the storage's own size"):
        check_tensor_pickle(pickled(tensor(4), **{"data/0": b"\0" * n_bytes}))


def test_check_tensor_without_its_bytes_is_refused():
    with pytest.raises(UnsafeFile, match="the storage's own size"):
        check_tensor_pickle(pickled(tensor(4)))


@pytest.mark.parametrize(
    "wrap", [lambda payload: payload, lambda payload: (payload,), lambda payload: {"a": [payload]}]
)
@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_check_payload_is_refused_and_never_runs(tmp_path, wrap, protocol):
    canary = tmp_path / "canary"
    content = pickle.dumps(wrap(Payload(os.system, f"touch {canary}")), protocol=protocol)
    with pytest.raises(UnsafeFile, match=r"names '\w+.system'|holds a pickle with the instruction"):
        check_tensor_pickle(pickled(content))
    assert not canary.exists()
    pickle.loads(content)
    assert canary.exists()


@pytest.mark.parametrize(
    "name",
    ["builtins eval", "builtins getattr", "subprocess Popen", "torch load", "torch._utils _import_dotted_name",
     "torch.hub load", "functools partial", "torch.storage _load_from_bytes", "operator attrgetter"],
)  # fmt: skip
def test_check_name_that_no_tensor_needs_is_refused(name):
    module, _, attribute = name.partition(" ")
    with pytest.raises(UnsafeFile, match=f"names '{name.replace(' ', '.')}'"):
        check_tensor_pickle(pickled(f"c{module}\n{attribute}\n.".encode()))


@pytest.mark.parametrize(
    ("instructions", "match"),
    [
        (b"\x80\x04\x8c\x05posix\x8c\x06system\x93.", "the instruction STACK_GLOBAL"),
        (b"cos\nsystem\n(S'true'\ntR.", "names 'os.system'"),
        (b"(S'true'\nios\nsystem\n.", "the instruction"),
        (b"\x80\x02\x82\x01.", "the instruction EXT1"),
        (b"ctorch\ndevice\n(X\x03\0\0\0cput\x81.", "a type of torchao's"),
        (b"ctorch\nTensor\n)R.", "a function that makes tensors"),
        (b"ctorch._tensor\n_rebuild_from_type_v2\n(ctorch\ndevice\nctorch\nTensor\n)}tR.", "a tensor to rebuild"),
        (b"ctorch\nTensor\n}X\x01\0\0\0aK\x01sb.", "an instance to set the attributes of"),
        (b"ctorchao.quantization.granularity\nPerRow\n)\x81(}}tb.", "attributes by name"),
        (b"ccollections\nOrderedDict\n)RK\x01K\x02s.", "a dict to put items into"),
        (b"K\x01K\x02a.", "a list to append to"),
        (b"K\x01.K\x02.", "something behind its end"),
        (b"K\x01K\x02.", "something behind its end"),
        (b"K\x01Q.", "does not read as a tensor"),
        (b"h\x07.", "does not read as a tensor"),
        (b"K\x01", "does not read as a tensor"),
        (b"", "does not read as a tensor"),
        (b"\xff\xff", "does not read as a tensor"),
    ],
)
def test_check_instructions_that_torch_does_not_write_are_refused(instructions, match):
    with pytest.raises(UnsafeFile, match=match):
        check_tensor_pickle(pickled(instructions))


@pytest.mark.parametrize("name", ["constants.pkl", "code/run.py", "data/../0", "data/x"])
def test_check_other_member_is_refused(name):
    with pytest.raises(UnsafeFile, match=r"pickled tensor with|a member called"):
        check_tensor_pickle(pickled(tensor(4), **{"data/0": b"\0" * 16, name: b""}))


def test_check_bare_pickle_is_refused():
    with pytest.raises(UnsafeFile, match="is not an archive"):
        check_tensor_pickle(memoryview(pickle.dumps([1, 2, 3])))


def test_check_large_pickle_is_refused_unread():
    with pytest.raises(UnsafeFile, match="something pickled that is not a tensor"):
        check_tensor_pickle(pickled(b"K\x01" * 2**20))


NESTED = b"K\x01" + b"\x85" * 200_000
"""A tuple in a tuple in a tuple: to hash it, or to print it, would end the process."""


@pytest.mark.parametrize(
    ("instructions", "match"),
    [
        (b"}" + NESTED + b"K\x01s.", "items by name or number"),
        (b"}(" + NESTED + b"K\x01u.", "items by name or number"),
        (b"(X\x07\0\0\0storagectorch\nFloatStorage\n" + NESTED + b"X\x03\0\0\0cpuK\x04tQ.", "a storage by name"),
        (NESTED + b"Q.", "does not read as a tensor"),
        (NESTED + b"K\x01b.", "an instance to set the attributes of"),
    ],
)
def test_check_tuples_in_tuples_without_end_are_refused(instructions, match):
    with pytest.raises(UnsafeFile, match=match):
        check_tensor_pickle(pickled(instructions))


def test_check_many_marks_below_many_values_are_followed_in_one_pass(monkeypatch):
    looked_at = 0

    class Looking(type):
        def __instancecheck__(cls, value):
            nonlocal looked_at
            looked_at += 1
            return type(value) is cls

    class Mark(metaclass=Looking):
        pass

    monkeypatch.setattr(tensor_pickles, "_Mark", Mark)
    n = 20_000
    with pytest.raises(UnsafeFile, match="something behind its end"):
        check_tensor_pickle(pickled(b"K\x01" * n + b"(t" * n + b"."))
    assert looked_at <= 4 * n


def test_check_tuple_without_its_mark_is_refused():
    with pytest.raises(UnsafeFile, match="does not read as a tensor"):
        check_tensor_pickle(pickled(b"K\x01t."))
