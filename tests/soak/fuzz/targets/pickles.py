"""CIFAR-10's python batches, which are pickles: programs that must not run."""

import os
import pickle
import pickletools
from pathlib import Path
from random import Random
from typing import Any

from stages.tasks.cifar10.raw import batches
from tests.conftest import cifar_batch
from tests.soak.fuzz.mutate import EDGES

CANARY = "/tmp/executed-by-a-pickle"
NAMES = [b"numpy.core.multiarray\n_reconstruct\n", b"numpy\nndarray\n", b"numpy\ndtype\n", b"_codecs\nencode\n"]
NAMES += [b"os\nsystem\n", b"builtins\neval\n", b"builtins\nexec\n", b"builtins\ngetattr\n", b"builtins\nbytearray\n"]
OPCODES = [opcode.code.encode("latin1") for opcode in pickletools.opcodes]


class Foreign:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def seeds() -> list[bytes]:
    batch = pickle.loads(cifar_batch(3), encoding="bytes")
    return [cifar_batch(2), cifar_batch(1, filenames=[]), *(pickle.dumps(batch, protocol=number) for number in (2, 3, 4))]


def hostile() -> list[bytes]:
    calls = [Foreign(os.system, f"touch {CANARY}"), Foreign(eval, f"open({CANARY!r}, 'w')"), Foreign(open, CANARY, "w")]
    twice = b"".join(b"h" + bytes([place]) + b"h" + bytes([place]) + b"\x86q" + bytes([place + 1]) for place in range(40))
    text = b"X" + (100_000).to_bytes(4, "little") + b"a" * 100_000
    programs = [
        b"}r\xff\xff\xff\x7f.",  # a place in the memo so far away that the memo takes 16 GB
        b"})q\x00" + twice + b"}h\x28K\x01s.",  # as a key, a tuple of two tuples of two tuples of …
        b"})" + b"\x85" * 200_000 + b"K\x01s.",  # as a key, a tuple in a tuple in a tuple …
        b"c_codecs\nencode\nq\x00" + text + b"q\x01X\x06\0\0\0latin1q\x02]" + b"h\x00h\x01h\x02\x86Ra" * 20_000 + b".",
    ]
    return [cifar_batch(1, extra=call) for call in calls] + [b"\x80\x02" + program for program in programs]


def mutate(random: Random, content: bytes) -> bytes:
    """Opcodes, with their arguments, put in, left out, doubled, taken from elsewhere; numbers at the edge."""
    if len(content) > 100_000:
        return content
    ends = [0]
    try:
        ends += [place for *_, place in pickletools.genops(content) if place is not None][1:]
    except Exception:  # up to where it is damaged
        ends += sorted(random.sample(range(len(content) + 1), min(5, len(content))))
    pieces = [content[begin:end] for begin, end in zip(ends, [*ends[1:], len(content)], strict=True)]
    for _ in range(random.randint(1, 5)):
        place = random.randrange(len(pieces))
        match random.randrange(6):
            case 0:
                pieces.insert(place, random.choice(pieces))
            case 1:
                pieces.insert(place, b"c" + random.choice(NAMES))
            case 2:
                pieces.insert(place, random.choice(OPCODES) + random.randbytes(random.choice((0, 1, 4, 8))))
            case 3:
                number = random.choice(EDGES) % 2**32
                pieces.insert(place, random.choice((b"r", b"j", b"J", b"X", b"T", b"B")) + number.to_bytes(4, "little"))
            case 4:
                pieces[place] = b""
            case 5:
                begin = random.randrange(len(pieces))
                pieces[place:place] = pieces[begin : begin + random.randint(1, 8)] * random.choice((1, 2, 40))
    return b"".join(pieces)[: 1 << 20]


def attempt(content: bytes, folder: Path) -> None:
    images, labels, names = batches._decode(batches._unpickle(content, "a"), "a")
    assert images.shape[1:] == (32, 32, 3) and len(images) == len(labels) and len(names) in (0, len(images))
    assert all(type(label) is int for label in labels) and all(type(name) is str for name in names)
