"""Debian's docker-registry on loopback, a proxy before it that counts, and the base image in it."""

import gzip
import hashlib
import http.client
import io
import json
import mmap
import os
import signal
import socket
import struct
import tarfile
import threading
import time

import measure

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Registry:
    """One for the whole run. It ends with `stop`."""

    def __init__(self, directory, environment):
        directory.mkdir()
        self.log = directory / "log"
        for _ in range(5):
            self.host = f"127.0.0.1:{free_port()}"
            config = directory / "config.yml"
            config.write_text(
                "version: 0.1\nlog: { level: error, accesslog: { disabled: false } }\n"
                f"storage: {{ filesystem: {{ rootdirectory: {directory / 'storage'} }}, delete: {{ enabled: true }} }}\n"
                f'http: {{ addr: "{self.host}" }}\n'
            )
            self.pid = measure.start(["/usr/bin/docker-registry", "serve", str(config)], environment, self.log)
            if self.answers():
                return
            self.stop()
        raise RuntimeError("docker-registry does not start: " + measure.last_words(self.log))

    def answers(self):
        for _ in range(300):
            try:
                return self.ask("GET", "/v2/")[0] == 200
            except OSError:
                time.sleep(0.05)
            if os.waitpid(self.pid, os.WNOHANG)[0]:
                self.pid = None
                return False
        return False

    def stop(self):
        if self.pid:
            measure.kill(self.pid)
            os.waitpid(self.pid, 0)
            self.pid = None

    def ask(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(self.host, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def requests(self, since=0):
        """(where its log ends now, the requests after `since` as `METHOD PATH STATUS`); asked for tokens there are none."""
        time.sleep(0.1)
        with open(self.log, "rb") as file:
            file.seek(since)
            text = file.read()
        found = []
        for line in text.decode(errors="replace").splitlines():
            _, quote, rest = line.partition('] "')
            request, end, rest = rest.partition('" ')
            if quote and end and "/v2/" in request:
                method, path, _ = request.split(" ", 2)
                found.append(f"{method} {path} {rest.split(' ')[0]}")
        return since + len(text), found

    def put_blob(self, repository, data):
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        _, headers, _ = self.ask("POST", f"/v2/{repository}/blobs/uploads/")
        path = headers["Location"].removeprefix(f"http://{self.host}")
        path += ("&" if "?" in path else "?") + "digest=" + digest
        status, _, text = self.ask("PUT", path, data, {"Content-Type": "application/octet-stream"})
        if status != 201:
            raise RuntimeError(f"docker-registry does not take a blob: {status} {text[:200]}")
        return {"digest": digest, "size": len(data)}

    def put_base(self, tar):
        """Makes an image of one layer and puts it under base:latest. Returns its size in the registry."""
        data = tar.read_bytes()
        layer = gzip.compress(data, 6, mtime=0)
        config = {
            "architecture": "amd64",
            "os": "linux",
            "created": "2024-01-01T00:00:00Z",
            "config": {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": ["bash"]},
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(data).hexdigest()]},
            "history": [{"created": "2024-01-01T00:00:00Z", "created_by": "a base"}],
        }
        oci = "application/vnd.oci.image."
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": oci + "config.v1+json", **self.put_blob("base", json.dumps(config).encode())},
            "layers": [{"mediaType": oci + "layer.v1.tar+gzip", **self.put_blob("base", layer)}],
        }
        text = json.dumps(manifest).encode()
        status, _, answer = self.ask("PUT", "/v2/base/manifests/latest", text, {"Content-Type": MANIFEST})
        if status != 201:
            raise RuntimeError(f"docker-registry does not take the base: {status} {answer[:200]}")
        return len(layer)

    def layers(self, repository, tag):
        """The descriptors of an image's layers."""
        accept = MANIFEST + ", application/vnd.docker.distribution.manifest.v2+json"
        status, _, text = self.ask("GET", f"/v2/{repository}/manifests/{tag}", headers={"Accept": accept})
        return json.loads(text)["layers"] if status == 200 else []


    def files(self, repository, tag):
        """(how many files below /app an image has, a digest of their paths, owners and contents)."""
        found = {}
        for layer in self.layers(repository, tag):
            _, _, data = self.ask("GET", f"/v2/{repository}/blobs/{layer['digest']}")
            with tarfile.open(fileobj=io.BytesIO(data)) as archive:
                try:
                    for member in archive:
                        name = member.name.removeprefix("./").strip("/")
                        if member.isfile() and name.startswith("app/"):
                            content = hashlib.sha256(archive.extractfile(member).read()).hexdigest()
                            found[name] = (member.uid, member.gid, content)
                except tarfile.ReadError:
                    # umoci 0.4 does not end the tar of an inserted layer; what is in it counts.
                    pass
        return len(found), hashlib.sha256(repr(sorted(found.items())).encode()).hexdigest()


class Proxy:
    """A process that hands on what it is sent, to the registry and back, and counts the bytes both ways."""

    def __init__(self, upstream):
        listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.host = "127.0.0.1:%d" % listener.getsockname()[1]
        # Written there, read here: bytes to the registry, bytes from it.
        self.counters = mmap.mmap(-1, 16)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                # The end of the benchmark is its end too, and that is the one that ends it.
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                os.setpgid(0, 0)
                self.serve(listener, upstream)
            finally:
                os._exit(1)
        listener.close()

    def serve(self, listener, upstream):
        name, port = upstream.split(":")
        lock = threading.Lock()

        def hand_on(source, target, at):
            buffer = memoryview(bytearray(1 << 18))
            try:
                while count := source.recv_into(buffer):
                    with lock:
                        old = struct.unpack_from("Q", self.counters, at)[0]
                        struct.pack_into("Q", self.counters, at, old + count)
                    target.sendall(buffer[:count])
                target.shutdown(socket.SHUT_WR)
            except OSError:
                for one in (source, target):
                    try:
                        one.shutdown(socket.SHUT_RDWR)
                    except OSError:
                        pass

        def meet(client):
            with client, socket.create_connection((name, int(port))) as server:
                for one in (client, server):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                back = threading.Thread(target=hand_on, args=(server, client, 8), daemon=True)
                back.start()
                hand_on(client, server, 0)
                back.join()

        while True:
            client, _ = listener.accept()
            threading.Thread(target=meet, args=(client,), daemon=True).start()

    def counted(self):
        """(bytes to the registry, bytes from it) until now."""
        return struct.unpack_from("QQ", self.counters, 0)

    def stop(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = None
