"""The container images: static busybox with its applets, packed as docker archives without any registry."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.layout import BUSYBOX_IMAGE, PAUSE_IMAGE, Site
from tests.cluster.processes import environment
from tests.cluster.requirements import busybox

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def build(site: Site) -> Path:
    """Writes both images into one archive; they share their only layer."""
    program = busybox()
    if program is None:
        raise ClusterError("The test cluster needs a static busybox (apt-get install busybox-static).")
    layer = _layer(program)
    images = {
        BUSYBOX_IMAGE: _configuration(layer, Cmd=["/bin/sh"]),
        PAUSE_IMAGE: _configuration(layer, Entrypoint=["/bin/sleep", "2147483647"]),
    }
    files = {"layer.tar": layer}
    manifest = []
    for name, configuration in images.items():
        file = f"{hashlib.sha256(configuration).hexdigest()}.json"
        files[file] = configuration
        manifest.append({"Config": file, "RepoTags": [name], "Layers": ["layer.tar"]})
    files["manifest.json"] = json.dumps(manifest).encode()
    path = site.work / "images.tar"
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            _add(archive, name, content)
    return path


def load(site: Site, archive: Path) -> None:
    """Imports the archive into containerd, where the kubelet looks for images, and removes it."""
    done = subprocess.run(
        ["ctr", "--address", site.containerd_socket, "--namespace", "k8s.io", "images", "import", archive],
        capture_output=True,
        text=True,
        check=False,
        env=environment(site),
    )
    if done.returncode:
        raise ClusterError(f"The images could not be loaded: {done.stderr.strip()}")
    archive.unlink()


def _layer(program: Path) -> bytes:
    applets = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for folder in ("bin", "dev", "etc", "home", "proc", "root", "run", "sys", "tmp", "var", "www"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            archive.addfile(entry)
        _add(archive, "bin/busybox", program.read_bytes(), 0o755)
        _link(archive, (applet for applet in applets if applet != "busybox"))
        _add(archive, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/sh\n")
        _add(archive, "etc/group", b"root:x:0:\nnobody:x:65534:\n")
    return buffer.getvalue()


def _link(archive: tarfile.TarFile, applets: Iterable[str]) -> None:
    for applet in applets:
        entry = tarfile.TarInfo(f"bin/{applet}")
        entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
        archive.addfile(entry)


def _configuration(layer: bytes, **command: list[str]) -> bytes:
    return json.dumps(
        {
            "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {"Env": ["PATH=/bin"], "WorkingDir": "/", **command},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        }
    ).encode()


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))
