"""The unit: the one that is shipped, for any file and program that it can see."""

from pathlib import Path

import pytest

from kubegate.model.plan import Plan, Process
from kubegate.model.problem import InvalidInput
from kubegate.render.systemd import SYSUSERS, render, unit
from kubegate.render.targets import Options, Rendered, head

PACKAGING = Path(__file__).parents[3] / "packaging" / "systemd"


def rendered(options: Options) -> Rendered:
    """The set, whatever the plan is."""
    return render(Plan((), (), Process(0)), options)


def test_the_shipped_unit_is_the_rendered_one() -> None:
    comment, _, body = (PACKAGING / "kubegate.service").read_text().partition("\n")
    assert comment.startswith("# kubegate from /opt/kubegate for the file /etc/kubegate/kubegate.yaml")
    assert unit(Options()) == body
    assert (PACKAGING / "kubegate.sysusers").read_text() == SYSUSERS


def test_a_second_gate_has_a_name_of_its_own() -> None:
    found = rendered(Options(name="lab-gate", file="/etc/lab/gate.yaml"))
    assert [one.name for one in found.artefacts] == ["lab-gate.service", "lab-gate.sysusers"]
    assert "ExecStart=/opt/kubegate/bin/kubegate run -c /etc/lab/gate.yaml\n" in found.artefacts[0].content.decode()
    assert "enable --now lab-gate" in found.steps[1]


def test_paths_are_words_of_a_unit() -> None:
    text = unit(Options(program="/opt/my gate/kubegate", file='/etc/100%/a"$b.yaml'))
    assert 'ExecStart="/opt/my gate/kubegate" run -c "/etc/100%%/a\\"$$b.yaml"\n' in text


def test_an_access_log_elsewhere_can_be_written() -> None:
    assert "LogsDirectory=kubegate\n" in unit(Options(access_log="/var/log/kubegate/access.json"))
    text = unit(Options(access_log="/srv/logs/access.json"))
    assert "ReadWritePaths=/srv/logs\n" in text
    assert "LogsDirectory" not in text


@pytest.mark.parametrize("folder", ["/home/joe", "/root", "/tmp", "/var/tmp", "/run/user/1000"])
def test_what_the_unit_could_not_see_is_refused_at_once(folder: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        rendered(Options(file=f"{folder}/kubegate.yaml", program=f"{folder}/venv/bin/kubegate"))
    assert [one.code for one in caught.value.problems] == ["target.hidden"] * 2
    assert [one.where for one in caught.value.problems] == [f"{folder}/kubegate.yaml", f"--program {folder}/venv/bin/kubegate"]


def test_what_only_begins_like_a_hidden_folder_can_be_seen() -> None:
    assert rendered(Options(file="/homes/joe/kubegate.yaml")).artefacts


@pytest.mark.parametrize("path", ["/etc/a\nUser=root", "+/opt/kubegate", "kubegate", "/opt/\x1b[2J"])
def test_a_path_that_would_be_something_else_in_a_unit_is_refused(path: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        rendered(Options(file=path, program=path, access_log=path))
    assert {one.code for one in caught.value.problems} == {"target.path"}
    assert all("\n" not in one.where and "\x1b" not in one.where for one in caught.value.problems)


def test_a_hidden_folder_is_seen_through_dots() -> None:
    with pytest.raises(InvalidInput, match="does not see /home"):
        rendered(Options(file="/etc/../home/joe/kubegate.yaml"))


def test_a_path_to_write_to_has_no_variables() -> None:
    assert "ReadWritePaths=/srv/a$b%%\n" in unit(Options(access_log="/srv/a$b%/access.json"))


def test_the_head_of_a_file_has_no_lines_but_its_own() -> None:
    lines = head("A file", Options(version="1", source="a\nuser root"), "accessLog: /var/log\nuid 0")
    assert len(lines) == 2
    assert all(line.startswith("# ") and "\n" not in line for line in lines)
