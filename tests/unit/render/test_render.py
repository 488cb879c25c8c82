"""What holds for every rendered plan; what a certain one looks like stands in the golden cases."""

import dataclasses
import re

import pytest

from kubegate.model.address import Endpoint
from kubegate.model.plan import Backend, Frontend, Plan, Process, Shown, Verification
from kubegate.render.haproxy import CONFIG_FILE, render

KEY = b"THE GATE'S KEY\n"
SERVERS = (Endpoint("192.0.2.1", 6443), Endpoint("192.0.2.2", 6443))
BACKEND = Backend("c1", SERVERS, tls=True, verification=Verification(b"CA\n", "api.example.com", send_sni=True))
FRONT = Frontend("gate", Endpoint("127.0.0.1", 6443), "c1", (Shown("c1", KEY),), sole=True)
PLAN = Plan((FRONT,), (BACKEND,), Process(max_connections=1000))


def config(plan: Plan) -> str:
    return render(plan).files[CONFIG_FILE].decode()


def with_backend(**changes: object) -> Plan:
    backend = dataclasses.replace(BACKEND, **changes)  # type: ignore[arg-type]
    return dataclasses.replace(PLAN, backends=(backend,))


def passed_through() -> Plan:
    return dataclasses.replace(with_backend(opened=False), frontends=(dataclasses.replace(FRONT, certificates=()),))


def test_equal_plans_give_equal_bytes() -> None:
    assert render(PLAN) == render(dataclasses.replace(PLAN))
    assert render(PLAN).digest == render(dataclasses.replace(PLAN)).digest


def test_another_plan_gives_other_bytes() -> None:
    others = [with_backend(servers=SERVERS[:1]), with_backend(tls=False, verification=None), passed_through()]
    others += [with_backend(verification=None), dataclasses.replace(PLAN, process=Process(max_connections=1001))]
    assert len({render(plan).digest for plan in [PLAN, *others]}) == 6


def test_keys_stand_in_their_own_file_alone() -> None:
    files = render(PLAN).files
    assert files["gate.pem"] == KEY
    assert [name for name, content in files.items() if KEY in content] == ["gate.pem"]


def test_every_file_that_is_named_is_there_and_the_other_way_round() -> None:
    for plan in (PLAN, passed_through(), with_backend(tls=False, verification=None)):
        files = render(plan).files
        named = set(re.findall(r"[\w-]+\.(?:pem|ranges|map)", files[CONFIG_FILE].decode()))
        assert named == set(files) - {CONFIG_FILE}


def test_several_frontends_stand_side_by_side() -> None:
    second = dataclasses.replace(FRONT, name="other", listen=Endpoint("::1", 6444), default="c2")
    backends = (BACKEND, dataclasses.replace(BACKEND, name="c2"))
    text = config(dataclasses.replace(PLAN, frontends=(FRONT, second), backends=backends))
    assert re.findall(r"^(?:frontend|backend) (.*)$", text, re.MULTILINE) == [
        "gate",
        "other",
        "c1",
        "c1:stream",
        "c2",
        "c2:stream",
    ]


def test_no_server_goes_unverified_unless_it_was_said() -> None:
    for plan in (PLAN, passed_through()):
        servers = re.findall(r"^  server .*$", config(plan), re.MULTILINE)
        assert servers
        assert all(re.search("verify required ca-file ca-[0-9a-f]{12}.pem verifyhost api.example.com", line) for line in servers)
    assert "verify none" not in config(PLAN)
    assert config(with_backend(verification=None)).count("verify none") == 4


def test_sni_is_sent_only_where_it_is_said() -> None:
    quiet = with_backend(verification=Verification(b"CA\n", "api.example.com", send_sni=False))
    assert "sni" not in config(quiet)
    assert config(PLAN).count(" sni str(api.example.com)") == 4
    assert config(PLAN).count("check-sni api.example.com") == 4


@pytest.mark.parametrize("name", ["evil\nbackend x", "evil\r", "\x00"])
def test_a_name_cannot_break_out_of_its_line(name: str) -> None:
    with pytest.raises(ValueError, match="control characters"):
        render(with_backend(verification=Verification(b"CA\n", name, send_sni=True)))


def test_a_name_with_quotes_and_spaces_stays_one_word() -> None:
    text = config(with_backend(verification=Verification(b"CA\n", "x' verify none '", send_sni=False)))
    assert "verifyhost 'x'\\'' verify none '\\'''" in text
