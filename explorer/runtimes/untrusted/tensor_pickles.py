"""Check pickles of tensors without opening them: only the instructions with which torch writes tensors.

Instructions run on a stack of plain values, on which a class or function is only its name, and a call is only a record.
"""

from __future__ import annotations

import pickletools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from explorer.runtimes.untrusted.files import UnsafeFile
from explorer.runtimes.untrusted.stored_zip import stored_members

_REBUILD = "torch._tensor _rebuild_from_type_v2"
# What it may call in turn: the name that it is given.
_REBUILT_BY = frozenset({"torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_wrapper_subclass"})
_CALLABLE = frozenset({
    _REBUILD, *_REBUILT_BY, "collections OrderedDict", "torch device", "torch.serialization _get_layout",
    "torchao.quantization.quant_primitives MappingType",
})  # fmt: skip
_MADE_EMPTY = frozenset({
    "torchao.quantization.granularity PerRow",
    "torchao.quantization.quantize_.workflows.int8.int8_tensor QuantizeTensorToInt8Kwargs",
})  # fmt: skip
_TYPES = frozenset({
    "torch Tensor", "torch float32", "torch float16", "torch bfloat16", "torch int8", "torch uint8", "torch int32",
    "torch int64", "torchao.quantization Int8Tensor",
})  # fmt: skip
_STORAGE_BYTES: Mapping[str, int] = {
    "torch ByteStorage": 1, "torch CharStorage": 1, "torch BoolStorage": 1, "torch HalfStorage": 2,
    "torch BFloat16Storage": 2, "torch ShortStorage": 2, "torch IntStorage": 4, "torch FloatStorage": 4,
    "torch LongStorage": 8, "torch DoubleStorage": 8,
}  # fmt: skip
_NAMES = _CALLABLE | _MADE_EMPTY | _TYPES | _STORAGE_BYTES.keys()
_PICKLE, _DATA = "data.pkl", "data/"
_BESIDE = frozenset({".format_version", ".storage_alignment", "byteorder", "version", ".data/serialization_id"})
_MAX_PICKLE_BYTES = 2**20
_CONSTANTS: Mapping[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_PUSHED = frozenset({"BINUNICODE", "SHORT_BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"})
_SHORT_TUPLES: Mapping[str, int] = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass(frozen=True, slots=True)
class _Name:
    """A class or function named by a pickle, as `module name`."""

    text: str


@dataclass(frozen=True, slots=True, eq=False)
class _Made:
    """The result of a call; `is_blank`: an instance whose attributes are still to be set."""

    is_blank: bool


class _Mark:
    """The position on the stack where the parts of a tuple, or the items of a dict, begin."""


def check_tensor_pickle(content: memoryview) -> None:
    """Raise UnsafeFile unless this is what `torch.save` writes for tensors, quantized by torchao or not."""
    members = stored_members(content)
    for name in members:
        if name != _PICKLE and name not in _BESIDE and not (name.startswith(_DATA) and name[len(_DATA) :].isdigit()):
            raise UnsafeFile(f"holds a pickled tensor with {name[:80]!r} in it")
    if _PICKLE not in members or len(members[_PICKLE]) > _MAX_PICKLE_BYTES:
        raise UnsafeFile("holds something pickled that is not a tensor")
    sizes = {name: len(part) for name, part in members.items()}
    try:
        _Calculator(sizes).follow(bytes(members[_PICKLE]))
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise UnsafeFile("holds a pickle that does not read as a tensor") from error


class _Calculator:
    """Interpreter of one pickle. `sizes` are the bytes of each member beside it."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self._sizes = sizes
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def follow(self, pickle: bytes) -> None:
        """Raise UnsafeFile at the first instruction that torch does not write; ValueError and others for damage."""
        at = None
        for opcode, argument, at in pickletools.genops(pickle):  # noqa: B007
            self._step(opcode.name, argument)
        if at != len(pickle) - 1 or len(self._stack) != 1:
            raise UnsafeFile("holds a pickle with something behind its end")

    def _step(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in _PUSHED:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in ("EMPTY_LIST", "EMPTY_DICT"):
            stack.append([] if name == "EMPTY_LIST" else {})
        elif name == "MARK":
            stack.append(_Mark())
        elif name == "GLOBAL":
            stack.append(self._named(argument))
        elif name in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self._memo[argument])
        elif name in _SHORT_TUPLES:
            n = _SHORT_TUPLES[name]
            stack[-n:] = [tuple(stack[-n:])]
        elif name == "TUPLE":
            stack.append(tuple(self._since_mark()))
        elif name not in ("PROTO", "STOP"):
            self._act(name)

    def _act(self, name: str) -> None:
        stack = self._stack
        if name in ("APPEND", "APPENDS"):
            parts = self._since_mark() if name == "APPENDS" else [stack.pop()]
            _expect(isinstance(stack[-1], list), "a list to append to")
            stack[-1].extend(parts)
        elif name in ("SETITEM", "SETITEMS"):
            items = self._since_mark() if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
            _expect(isinstance(stack[-1], dict), "a dict to put items into")
            # Hashing or printing tuples within tuples, without end, would end this process.
            _expect(all(type(key) in (str, int) for key in items[::2]), "items by name or number")
            stack[-1].update(zip(items[::2], items[1::2], strict=True))
        elif name in ("REDUCE", "NEWOBJ"):
            arguments, called = stack.pop(), stack.pop()
            stack.append(_called(called, arguments, name == "NEWOBJ"))
        elif name == "BUILD":
            state = stack.pop()
            _expect(isinstance(stack[-1], _Made) and stack[-1].is_blank, "an instance to set the attributes of")
            _expect(isinstance(state, dict) and all(type(key) is str for key in state), "attributes by name")
        elif name == "BINPERSID":
            self._check_storage(stack.pop())
            stack.append(_Made(is_blank=False))
        else:
            raise UnsafeFile(f"holds a pickle with the instruction {name}, which no tensor needs")

    def _named(self, text: str) -> _Name:
        if text not in _NAMES:
            raise UnsafeFile(f"holds a pickle that names {text.replace(' ', '.')[:80]!r}, which no tensor needs")
        return _Name(text)

    def _since_mark(self) -> list[Any]:
        # From the top, since all that is passed goes: however many marks there are, each value is passed once.
        above = next(n for n, value in enumerate(reversed(self._stack)) if isinstance(value, _Mark))
        at = len(self._stack) - 1 - above
        parts = self._stack[at + 1 :]
        del self._stack[at:]
        return parts

    def _check_storage(self, of: Any) -> None:
        """Check a storage's size: torch relies on the pickle's number and would read past the member's end."""
        kind, storage, key, place, n = of
        _expect(type(key) is str, "a storage by name")
        known = self._sizes.get(f"{_DATA}{key}")
        n_bytes = _STORAGE_BYTES[storage.text] * n
        _expect(kind == "storage" and place == "cpu" and type(n) is int and n_bytes == known, "the storage's own size")


def _called(called: Any, arguments: Any, is_new: bool) -> _Made:
    _expect(isinstance(called, _Name) and isinstance(arguments, tuple), "something to call")
    if is_new:
        _expect(called.text in _MADE_EMPTY and arguments == (), "a type of torchao's")
    else:
        _expect(called.text in _CALLABLE, "a function that makes tensors")
        if called.text == _REBUILD:
            by = arguments[0]
            _expect(isinstance(by, _Name) and by.text in _REBUILT_BY, "a tensor to rebuild")
    return _Made(is_blank=is_new)


def _expect(is_so: bool, what: str) -> None:
    if not is_so:
        raise UnsafeFile(f"holds a pickle of something other than tensors: expected {what}")
