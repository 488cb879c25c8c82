"""The real sshd on loopback, with host keys of its own, for a person who may log in as the user of the tests."""

import contextlib
import getpass
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kubegate.system.network import free_port
from tests.cluster.processes import SYSTEM_PATH
from tests.support.expose import Home

HOST = "agent.test"
_CONFIG = """
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
PidFile none
AuthorizedKeysFile {folder}/authorized
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
"""


@dataclass
class Machine:
    """A machine that is reached by SSH: its folder for what is pushed, and the person's files about it."""

    folder: Path
    port: int
    person: Home

    @property
    def destination(self) -> str:
        """Where a set goes."""
        return f"{getpass.getuser()}@{HOST}:{self.folder}/gate"

    @property
    def link(self) -> Path:
        """What is at that place."""
        return self.folder / "gate"

    @property
    def known_hosts(self) -> Path:
        """The person's."""
        return self.person.path / ".ssh" / "known_hosts"

    def know(self, key: Path | None = None) -> None:
        """Make the host key, or another one, the one that the person knows."""
        public = (key or self.folder.parent / "sshd" / "host").with_suffix(".pub").read_text().split()
        self.known_hosts.write_text(f"[{HOST}]:{self.port} {public[0]} {public[1]}\n")

    @property
    def fingerprint(self) -> str:
        """Of the host key, as ssh-keygen says it."""
        key = self.folder.parent / "sshd" / "host.pub"
        return subprocess.run(["ssh-keygen", "-lf", key], capture_output=True, text=True, check=True).stdout.split()[1]

    def folders(self) -> set[str]:
        """What is beside the link."""
        return {path.name for path in self.folder.iterdir() if path != self.link}


def keygen(path: Path) -> Path:
    """A new key pair."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True, stdin=subprocess.DEVNULL)
    return path


@contextlib.contextmanager
def machine(person: Home, folder: Path) -> Iterator[Machine]:
    """A machine whose host key the person knows, and where the person's key is let in."""
    program = shutil.which("sshd", path=SYSTEM_PATH)
    assert program, "sshd is needed: apt-get install openssh-server"
    Path("/run/sshd").mkdir(exist_ok=True)
    own, there, ssh = folder / "sshd", folder / "there", person.path / ".ssh"
    for one in (own, there, ssh):
        one.mkdir(mode=0o700)
    port = free_port("127.0.0.1")
    keygen(own / "host")
    (own / "authorized").write_text(keygen(ssh / "id_ed25519").with_suffix(".pub").read_text())
    (own / "config").write_text(_CONFIG.format(port=port, folder=own))
    (ssh / "config").write_text(f"Host {HOST}\n  HostName 127.0.0.1\n  HostKeyAlias {HOST}\n  Port {port}\n")
    with (own / "log").open("wb") as log:
        process = subprocess.Popen([program, "-D", "-e", "-f", own / "config"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        _until_answering(process, port, own / "log")
        found = Machine(there, port, person)
        found.know()
        yield found
    finally:
        process.terminate()
        process.wait()


def _until_answering(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + 20
    while "Server listening" not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, f"nothing on port {port}: {log.read_text()}"
        time.sleep(0.05)
