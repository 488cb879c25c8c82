"""PEM text (RFC 7468) cut into its blocks, without interpreting them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_BLOCK = re.compile(rb"-----BEGIN ([^\r\n]*?)-----[ \t]*\r?\n(.*?)-----END \1-----", re.DOTALL)
_BEGIN = re.compile(rb"-----BEGIN [^\r\n]*?-----")


@dataclass(frozen=True, slots=True)
class Block:
    """One block from its BEGIN line to its END line; `text` may be a private key."""

    label: str
    text: bytes = field(repr=False)

    @property
    def is_key(self) -> bool:
        """Whether this is a private key of any form, encrypted or not."""
        return self.label.endswith("PRIVATE KEY")

    @property
    def is_encrypted(self) -> bool:
        """Whether a passphrase is needed: PKCS #8 says so in its label, the older forms in a header (RFC 1421)."""
        return self.label.startswith("ENCRYPTED") or b"Proc-Type: 4,ENCRYPTED" in self.text


def blocks(pem: bytes) -> Iterator[Block]:
    """The complete blocks in the order of the text; what stands between them is explanation and skipped."""
    for match in _BLOCK.finditer(pem):
        yield Block(match[1].decode("ascii", "backslashreplace"), match[0] + b"\n")


def is_cut_off(pem: bytes) -> bool:
    """Whether some block begins but does not end, as in a file that was copied in part."""
    return len(_BEGIN.findall(pem)) > sum(1 for _ in blocks(pem))
