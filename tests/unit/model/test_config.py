"""The declaration as a model: frozen, with defaults that open nothing, and strict about keys."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from kubegate.model.address import Endpoint
from kubegate.model.config import (
    ClusterConfig,
    Config,
    DataPlaneConfig,
    FrontFiles,
    ListenerConfig,
    MetricsConfig,
    Mode,
    ProxyProtocolConfig,
    UpstreamConfig,
    Verify,
)

ONE = Config(clusters=(ClusterConfig(),))


def test_the_defaults_open_nothing() -> None:
    assert [listener.address for listener in ONE.listeners] == [Endpoint("127.0.0.1", 6443)]
    assert ONE.metrics is None
    assert ONE.access_log is None
    (cluster,) = ONE.clusters
    assert cluster.mode is Mode.TERMINATE
    assert cluster.certificate is None
    assert cluster.upstream.verification is Verify.REQUIRED
    assert not cluster.upstream.insecure
    assert (cluster.timeouts.connect, cluster.timeouts.stream) == (timedelta(seconds=10), timedelta(days=7))
    assert ONE.data_plane.max_old_workers == 8


@pytest.mark.parametrize("model", [Config, ClusterConfig, UpstreamConfig, ListenerConfig, MetricsConfig, DataPlaneConfig])
def test_unknown_keys_are_refused(model: type[BaseModel]) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        model.model_validate({"insecure-skip": True})


def test_a_certificate_needs_its_key() -> None:
    with pytest.raises(ValidationError, match="key"):
        FrontFiles.model_validate({"cert": "tls.crt"})


def test_it_does_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        ONE.kind = "Gate"  # type: ignore[misc]


def test_it_is_read_back_from_what_it_says() -> None:
    config = Config(
        listeners=(
            ListenerConfig(
                address=Endpoint("::1", 1),
                clusters=("a",),
                proxy_protocol=ProxyProtocolConfig.model_validate({"from": ["10.0.0.0/8"]}),
            ),
        ),
        clusters=(
            ClusterConfig(
                name="a",
                hosts=("a.example.com",),
                mode=Mode.PASSTHROUGH,
                upstream=UpstreamConfig(servers=(Endpoint("api", 6443),)),
            ),
        ),
        access_log=Path("/log"),
    )
    assert Config.model_validate(config.model_dump()) == config
    assert Config.model_validate_json(config.model_dump_json()) == config
    assert Config.model_validate_json(config.model_dump_json(by_alias=True)) == config


def test_clusters_by_name_and_by_listener() -> None:
    all_of_them, some = ListenerConfig(), ListenerConfig(name="some", clusters=("b",))
    config = Config(listeners=(all_of_them, some), clusters=(ClusterConfig(name="a"), ClusterConfig(name="b")))
    found = config.cluster("b")
    assert found is config.clusters[1]
    assert config.cluster("c") is None
    assert config.reached_at(all_of_them) == config.clusters
    assert config.reached_at(some) == (found,)
