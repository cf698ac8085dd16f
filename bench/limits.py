"""What the machine allows: plain programs that read, hash and compress the same files, with no images about them."""

import ctypes
import ctypes.util
import hashlib
import mmap
import os
import queue
import subprocess
import threading
import time

import measure
from tools import program


# Name → a script of the shell and the programs that it needs. $1 is the context, $2 a tar of it on the same disk.
EACH = 'find "$1" -type f -print0 | xargs -0'
PLAIN = {
    "walk and stat, 2 processes": (
        # No file is that large: `find` asks for the size of each and prints nothing.
        'find "$1" -mindepth 2 -maxdepth 2 -print0 '
        "| xargs -0 -n 25 -P 2 sh -c 'exec find \"$@\" -type f -size +999999999k' sh",
        ("find", "xargs"),
    ),
    "walk and stat, 1 process": ('find "$1" -type f -size +999999999k', ("find",)),
    "cat to /dev/null": (f"{EACH} cat >/dev/null", ("find", "xargs")),
    "cat | sha256sum": (f"{EACH} cat | sha256sum", ("find", "xargs", "sha256sum")),
    "sha256sum of each file": (f"{EACH} sha256sum >/dev/null", ("find", "xargs", "sha256sum")),
    "tar | pigz -6 -p2": ('tar -C "$1" -cf - . | pigz -6 -p2 >"$2.gz"', ("tar", "pigz")),
    "tar | zstd -3 -T2": ('tar -C "$1" -cf - . | zstd -q -3 -T2 >"$2.zst"', ("tar", "zstd")),
    "pigz -6 -p2 of a tar": ('pigz -6 -p2 <"$2" >"$2.gz"', ("pigz",)),
    "zstd -3 -T2 of a tar": ('zstd -q -3 -T2 <"$2" >"$2.zst"', ("zstd",)),
}
ENCODER = "libdeflate -6 and SHA-256 alone, 2 threads"


def is_limit(name):
    """Whether it is a plain program beside which something is measured, and no tool that makes images."""
    return name == ENCODER or name in PLAIN


def commands(name, project, tar):
    """What runs a plain program, or None where something that it needs is not installed."""
    script, programs = PLAIN[name]
    if not all(map(program, programs)):
        return None
    return [["/bin/sh", "-c", script, "sh", str(project.context), str(tar)]]


def make_tar(project, path):
    subprocess.run(["tar", "-C", project.context, "-cf", path, "."], check=True)


def encoder():
    """libdeflate as Debian has it, or None."""
    name = ctypes.util.find_library("deflate")
    if not name:
        return None
    library = ctypes.CDLL(name)
    library.libdeflate_alloc_compressor.restype = ctypes.c_void_p
    library.libdeflate_gzip_compress.restype = ctypes.c_size_t
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    library.libdeflate_gzip_compress.argtypes = [pointer, pointer, size, pointer, size]
    library.libdeflate_free_compressor.argtypes = [pointer]
    return library


def encode(library, tar, threads=2, level=6):
    """Compresses a tar that is in memory in pieces of 1 MiB, and hashes it and what it is compressed to."""
    piece = 1 << 20
    with open(tar, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as data:
        start = ctypes.addressof(ctypes.c_char.from_buffer(data))
        pieces = queue.SimpleQueue()
        for offset in range(0, len(data), piece):
            pieces.put(offset)
        total = []

        def compress():
            compressor = library.libdeflate_alloc_compressor(level)
            buffer = ctypes.create_string_buffer(piece + (piece >> 3))
            digest, length = hashlib.sha256(), 0
            while True:
                try:
                    offset = pieces.get_nowait()
                except queue.Empty:
                    break
                size = min(piece, len(data) - offset)
                made = library.libdeflate_gzip_compress(compressor, start + offset, size, buffer, len(buffer))
                digest.update(memoryview(buffer)[:made])
                length += made
            library.libdeflate_free_compressor(compressor)
            total.append(length)

        def hash_and_compress():
            digest, view = hashlib.sha256(), memoryview(data)
            for offset in range(0, len(data), piece):
                digest.update(view[offset : offset + piece])
            view.release()
            compress()

        before, started = os.times(), time.perf_counter()
        workers = [threading.Thread(target=hash_and_compress)]
        workers += [threading.Thread(target=compress) for _ in range(threads - 1)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        wall, after = time.perf_counter() - started, os.times()
        size = sum(total)
        return measure.Run(wall, after.user - before.user, after.system - before.system, 0, {"size": size})
