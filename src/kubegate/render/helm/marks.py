"""Marks in the text of objects, and the template actions that take their places (helm.sh, Chart Template Guide)."""

import re

# Names that an object can have, and that nobody gives.
NAME = "xxreleasenamexx"
NAMESPACE = "xxreleasenamespacexx"
IMAGE = "XVALUEXimageX"
_VALUE = re.compile(r"XVALUEX([A-Za-z0-9.-]+?)X(?![A-Za-z])")
# A release or a namespace may be called 123 or true, and stays text.
_NAMED = re.compile(rf'(: |- )([^\s"]*(?:{NAME}|{NAMESPACE})[^\s"]*)$', re.MULTILINE)
_KEY = re.compile(r"XKEYX([a-z0-9-]+)\.(crt|key)X")


def templated(text: str) -> str:
    """The text as a template: what looks like an action and is none stays what it is."""
    found = text.replace("{{", "{{ `{{` }}")
    found = _VALUE.sub(_value, found)
    found = _NAMED.sub(r'\1"\2"', _KEY.sub(_key, found))
    return found.replace(NAME, "{{ .Release.Name }}").replace(NAMESPACE, "{{ .Release.Namespace }}")


def _value(match: re.Match[str]) -> str:
    """As JSON, which is YAML for text of any form, and for mappings and numbers."""
    name, *below = match[1].split(".", 1)
    if not below:
        return f"{{{{ .Values.{name} | toJson }}}}"
    return f'{{{{ index .Values "{name}" "{below[0]}" | toJson }}}}'


def _key(match: re.Match[str]) -> str:
    cluster, what = match[1], match[2]
    needed = f"tls.{cluster}.{what} is in values-keys.yaml beside the chart: give it by --values"
    return f'{{{{ dig "{cluster}" "{what}" "" .Values.tls | required "{needed}" | b64enc }}}}'
