"""Files in memory."""

import os
import subprocess
import sys

from kubegate.system.memory_files import MemoryFiles


def test_another_process_reads_them_until_they_are_let_go() -> None:
    files = MemoryFiles()
    first, again, second = files.put(b"one"), files.put(b"one"), files.put(b"two" * 50_000)
    assert first == again != second
    for path, content in ((first, b"one"), (second, b"two" * 50_000)):
        for _ in range(2):
            script = "import sys; sys.stdout.buffer.write(open(sys.argv[1], 'rb').read())"
            assert subprocess.run([sys.executable, "-c", script, path], capture_output=True, check=True).stdout == content
    files.keep({b"one"})
    assert first.read_bytes() == b"one"
    assert not second.exists()
    files.close()
    assert not first.exists()


def test_children_do_not_inherit_them() -> None:
    files = MemoryFiles()
    descriptor = int(files.put(b"secret").name)
    assert not os.get_inheritable(descriptor)
    files.close()
