"""The declaration: frozen, with safe defaults, and strict about keys."""

import pytest
from pydantic import ValidationError

from kubegate.model.address import Endpoint
from kubegate.model.config import ClusterConfig, Config, FrontFiles, Mode, UpstreamConfig


def test_the_defaults_open_nothing() -> None:
    config = Config()
    assert config.listen == Endpoint("127.0.0.1", 6443)
    assert config.cluster == ClusterConfig(upstream=UpstreamConfig(), hosts=(), mode=Mode.TERMINATE, front=None)
    assert config.cluster.upstream.insecure is False


@pytest.mark.parametrize("model", [Config, ClusterConfig, UpstreamConfig])
def test_unknown_keys_are_refused(model: type[Config | ClusterConfig | UpstreamConfig]) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        model.model_validate({"insecure-skip": True})


def test_a_certificate_needs_its_key() -> None:
    with pytest.raises(ValidationError, match="key"):
        FrontFiles.model_validate({"cert": "tls.crt"})


def test_it_does_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Config().listen = Endpoint("0.0.0.0", 6443)


def test_it_is_read_back_from_what_it_says() -> None:
    config = Config(listen=Endpoint("::1", 1), cluster=ClusterConfig(hosts=("a",), mode=Mode.PASSTHROUGH))
    assert Config.model_validate(config.model_dump()) == config
    assert Config.model_validate_json(config.model_dump_json()) == config
