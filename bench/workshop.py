"""Where a run of the benchmark takes place: directories, a registry, a proxy, a plain environment. It cleans up after itself."""

import ctypes
import os
import shutil
import tempfile
from pathlib import Path

import inputs
import measure
import registry
from tools import remove

# Read and written by every tool; on a RAM disk, so that no disk's mood is measured.
RAM = Path("/dev/shm")
NEEDED = 15 << 30


def roomy(quick):
    """The directory under which there is room: the RAM disk, or where temporary files go."""
    needed = NEEDED // 30 if quick else NEEDED
    if RAM.is_dir() and os.access(RAM, os.W_OK) and shutil.disk_usage(RAM).free > needed:
        return RAM
    return Path(tempfile.gettempdir())


def private_mounts():
    """Lets whatever is mounted from here on end with this process, where that is allowed. Returns whether it does."""
    if os.geteuid() != 0:
        return False
    library = ctypes.CDLL(None, use_errno=True)
    new_mounts, private = 0x00020000, (1 << 18) | (1 << 14)
    return library.unshare(new_mounts) == 0 and library.mount(None, b"/", None, private, None) == 0


class Workshop:
    def __init__(self, parent, lapstrake, quick, base):
        self.directory = Path(tempfile.mkdtemp(prefix="lapstrake-bench-", dir=parent))
        self.lapstrake = lapstrake
        self.log = self.directory / "log"
        # A short name: sockets and podman's run root have limits.
        self.run = Path(tempfile.mkdtemp(prefix="lb-", dir="/run" if os.access("/run", os.W_OK) else "/tmp"))
        self.registry = self.proxy = None
        self.tools = []
        try:
            for name in ("home", "tmp", "inputs", "state", "limits"):
                (self.directory / name).mkdir()
            settings = self.directory / "containers.conf"
            # Limits that any machine has; the built-in ones are more than some allow.
            settings.write_text('[containers]\ndefault_ulimits = ["nofile=1024:20000", "nproc=1024:32768"]\n')
            self.environment = {
                "PATH": os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin",
                "HOME": str(self.directory / "home"),
                "TMPDIR": str(self.directory / "tmp"),
                "XDG_RUNTIME_DIR": str(self.run),
                "CONTAINERS_CONF": str(settings),
                "LC_ALL": "C.UTF-8",
            }
            self.registry = registry.Registry(self.directory / "registry", self.environment)
            self.proxy = registry.Proxy(self.registry.host)
            self.hosts = [self.registry.host, self.proxy.host]
            tar = self.directory / "base.tar"
            self.base = measure.apart(inputs.debian, tar, quick, base)
            size = measure.apart(self.registry.put_base, tar)
            self.base += f", {size / 1e6:.0f} MB in the registry"
            tar.unlink()
        except BaseException:
            self.close()
            raise

    def close(self):
        """Ends what was started and removes what was made."""
        for tool in self.tools:
            tool.close()
        for one in (self.proxy, self.registry):
            if one:
                one.stop()
        for directory in (self.directory, self.run):
            remove(directory)
