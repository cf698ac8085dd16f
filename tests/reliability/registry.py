"""A registry on loopback that keeps to the distribution specification, insists on it, and fails as it is told."""

import gzip
import hashlib
import json
import random
import re
import socket
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

TYPES = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json")

# What a passing fault may be, with whether the request is carried out all the same.
PASSING = ["500", "503", "429", "504", "502 after", "cut", "cut after", "cut early", "504 early", "cut body"]


@dataclass
class Fault:
    """What happens to the requests of a method whose path holds `part`: `times` of them, after `skip`."""

    method: str
    part: str
    kind: str
    times: int = 1
    skip: int = 0


@dataclass
class Request:
    method: str
    path: str
    query: dict
    headers: dict
    body: bytes = b""


@dataclass
class Answer:
    status: int
    headers: dict = field(default_factory=dict)
    body: bytes = b""


def digest_of(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def error(status, code):
    return Answer(status, {"Content-Type": "application/json"}, json.dumps({"errors": [{"code": code}]}).encode())


class Registry:
    """One repository for all names; it ends with `stop`. `percent` of all requests meet a passing fault. With a password (as it
    stands in headers) nobody is let in without it; `echo` is what `echo` faults say."""

    def __init__(self, faults=(), percent=0, seed=1, password=None, echo=""):
        self.faults = list(faults)
        self.password, self.echo, self.welcomed, self.targets = password, echo, 0, []
        self.percent, self.random = percent, random.Random(seed)
        self.blobs, self.manifests, self.tags, self.uploads = {}, {}, {}, {}
        self.violations, self.requests, self.failed = [], 0, 0
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.name = f"127.0.0.1:{self.port}"
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def is_whole(self, tag):
        """Whether everything that the image under a tag needs is there, and is what its digest says."""
        manifest = self.manifests.get(self.tags.get(tag))
        if manifest is None:
            return False
        needed = [blob["digest"] for blob in [json.loads(manifest)["config"], *json.loads(manifest)["layers"]]]
        return all(digest in self.blobs and digest_of(self.blobs[digest]) == digest for digest in needed)

    # --- connections ---

    def serve(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(120)
        try:
            with connection, connection.makefile("rb") as reader:
                while self.one(connection, reader):
                    pass
        except OSError:
            pass

    def one(self, connection, reader):
        first = reader.readline(65536).decode("latin-1").split()
        if len(first) != 3 or not first[2].startswith("HTTP/1."):
            return False
        headers = {}
        while (line := reader.readline(65536)) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        target = urlsplit(first[1])
        request = Request(first[0], target.path, {key: value[0] for key, value in parse_qs(target.query, keep_blank_values=True).items()}, headers)
        self.targets.append(first[1])
        # A fault that tells the password has heard it.
        is_known = self.password is None or headers.get("authorization") == f"Basic {self.password}"
        kind = self.plan(request) if is_known else None
        if kind == "cut early":
            return False
        if kind and kind.endswith(" early"):
            connection.sendall(f"HTTP/1.1 {kind[:3]} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            time.sleep(0.1)
            return False
        if kind == "sip":
            while reader.read(1):
                time.sleep(1)
            return False
        if "transfer-encoding" in headers or (request.method in ("PUT", "POST", "PATCH") and "content-length" not in headers):
            self.violations.append(f"{request.method} {request.path}: no length")
            return False
        length = int(headers.get("content-length", 0))
        request.body = reader.read(length)
        if len(request.body) < length or kind == "cut":
            return False
        if kind == "stall":
            time.sleep(60)
        if not is_known:
            answer = Answer(401, {"WWW-Authenticate": 'Basic realm="here"'})
        elif kind == "echo redirect":
            answer = Answer(307, {"Location": f"http://bob:{self.echo.split()[0]}@{self.name}{request.path}?token={self.echo.split()[0]}"})
        elif kind and kind.startswith("echo "):
            told = json.dumps({"errors": [{"code": "DENIED", "message": self.echo}]}).encode()
            answer = Answer(int(kind[5:]), {"Warning": f'299 - "{self.echo}"'}, told)
        elif kind and re.fullmatch(r"\d{3}( retry .*)?", kind):
            answer = Answer(int(kind[:3]), {"Retry-After": kind[10:]} if " retry " in kind else {}, b"<html>")
        else:
            with self.lock:
                if kind == "lose session":
                    self.uploads.clear()
                answer = self.answer(request)
                if kind == "lose blob":
                    self.blobs.pop(request.query.get("digest"), None)
        if kind == "cut after":
            return False
        if kind and kind.endswith(" after"):
            answer = error(int(kind[:3]), "UNKNOWN")
        return self.write(connection, request, answer, kind)

    def plan(self, request):
        with self.lock:
            self.requests += 1
            for fault in self.faults:
                if fault.times and fault.method == request.method and fault.part in request.path:
                    if fault.skip:
                        fault.skip -= 1
                        continue
                    fault.times -= 1
                    self.failed += 1
                    return fault.kind
            if self.random.randrange(100) < self.percent:
                self.failed += 1
                return self.random.choice(PASSING)
        return None

    def write(self, connection, request, answer, kind):
        body, headers = answer.body, dict(answer.headers)
        if kind == "flip":
            body = bytes([body[0] ^ 1]) + body[1:]
        elif kind == "short":
            body = body[:-1]
        elif kind == "twice":
            body *= 2
        elif kind == "large":
            body += b" " * (5 << 20)
        elif kind == "challenge":
            answer.status, body, headers = 401, b"", {"WWW-Authenticate": 'Bearer realm="http://169.254.169.254/token",service="x"'}
        elif kind == "gzip":
            body, headers["Content-Encoding"] = gzip.compress(body), "gzip"
        elif kind == "other digest":
            headers["Docker-Content-Digest"] = digest_of(b"another")
        elif kind and kind.startswith("location"):
            here, there = headers.get("Location", ""), kind[9:]
            if there == "relative":
                headers["Location"] = here[here.index("/v2/") :]
            elif there == "of another name":
                headers["Location"] = here.replace("127.0.0.1", "localhost")
            elif there == "missing":
                headers.pop("Location", None)
        elif kind == "wrong range" and answer.status == 206:
            headers["Content-Range"] = "bytes 0-1/2"
        elif kind and kind.startswith("redirect"):
            answer.status, body = 307, b""
            headers["Location"] = {"loop": f"http://{self.name}{request.path}", "file": "file:///etc/passwd", "metadata": "http://169.254.169.254/latest"}[kind[9:]]
        length = 1 << 50 if kind == "endless" else len(body)
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"HTTP/1.1 {answer.status} x\r\nContent-Length: {length}\r\n{head}"
        if kind == "header bomb":
            connection.sendall(head.encode())
            for number in range(1_000_000):
                connection.sendall(f"X-{number}: {'x' * 1000}\r\n".encode())
            return False
        connection.sendall(head.encode() + b"\r\n")
        if request.method == "HEAD":
            return True
        if kind == "cut body":
            connection.sendall(body[: len(body) // 2])
            return False
        if kind == "stall body":
            connection.sendall(body[: len(body) // 2])
            time.sleep(60)
            return False
        while kind == "endless":
            connection.sendall(bytes(65536))
        connection.sendall(body)
        return True

    # --- what it holds ---

    def answer(self, request):
        self.welcomed += "authorization" in request.headers
        for name in ["authorization", "cookie"]:
            if name in request.headers and (name == "cookie" or self.password is None):
                self.violations.append(f"{request.method} {request.path}: {name}")
        found = re.fullmatch(r"/v2/(.+)/(manifests|blobs)/(uploads/)?([^/]*)", request.path)
        if not found:
            return Answer(404 if request.path != "/v2/" else 200)
        _, kind, upload, name = found.groups()
        if upload:
            return self.upload(request, name)
        if request.method == "PUT" and kind == "manifests":
            return self.put_manifest(request, name)
        if request.method not in ("GET", "HEAD"):
            return Answer(405)
        digest = self.tags.get(name, name) if kind == "manifests" else name
        data = (self.manifests if kind == "manifests" else self.blobs).get(digest)
        if data is None:
            return error(404, "MANIFEST_UNKNOWN" if kind == "manifests" else "BLOB_UNKNOWN")
        headers = {"Docker-Content-Digest": digest, "Content-Type": "application/octet-stream"}
        if kind == "manifests":
            headers["Content-Type"] = json.loads(data)["mediaType"]
        ranged = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
        if ranged and request.method == "GET":
            at = int(ranged[1])
            return Answer(206, {**headers, "Content-Range": f"bytes {at}-{len(data) - 1}/{len(data)}"}, data[at:])
        return Answer(200, headers, data)

    def upload(self, request, name):
        where = lambda state: f"http://{self.name}{request.path.split('/blobs/')[0]}/blobs/uploads/{state}?_state={state}%3D"
        if request.method == "POST":
            name = f"u{len(self.uploads)}-{self.requests}"
            self.uploads[name] = b""
            return Answer(202, {"Location": where(name), "Range": "0-0"})
        if name not in self.uploads:
            return error(404, "BLOB_UPLOAD_UNKNOWN")
        if request.query.get("_state") != f"{name}=":
            self.violations.append(f"{request.method} {request.path}: another query than was given out")
        data = self.uploads[name] + request.body
        if request.method == "PATCH":
            self.uploads[name] = data
            return Answer(202, {"Location": where(name), "Range": f"0-{len(data) - 1}"})
        del self.uploads[name]
        digest = request.query.get("digest")
        if digest_of(data) != digest:
            return error(400, "DIGEST_INVALID")
        self.blobs[digest] = data
        return Answer(201, {"Location": f"/v2/x/blobs/{digest}", "Docker-Content-Digest": digest})

    def put_manifest(self, request, name):
        digest = digest_of(request.body)
        manifest = json.loads(request.body)
        if request.headers.get("content-type") not in TYPES or (name.startswith("sha256:") and name != digest):
            self.violations.append(f"PUT {request.path}: another type or digest")
            return error(400, "MANIFEST_INVALID")
        if any(blob["digest"] not in self.blobs for blob in [manifest["config"], *manifest["layers"]]):
            return error(404, "MANIFEST_BLOB_UNKNOWN")
        if not name.startswith("sha256:"):
            if digest not in self.manifests:
                self.violations.append(f"PUT {request.path}: a tag before its manifest")
            self.tags[name] = digest
        self.manifests[digest] = request.body
        return Answer(201, {"Location": f"/v2/x/manifests/{digest}", "Docker-Content-Digest": digest})
