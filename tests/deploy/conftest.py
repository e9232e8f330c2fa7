"""The local AWS, an issuer of tokens, and a project to deploy, each made once per module."""

import platform
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy import emulator as emulation
from tests.deploy import issuer as issuing
from tests.deploy.emulator import Emulator, Project
from tests.deploy.issuer import Issuer

collect_ignore = ["ministack_like_aws.py"]
"""It runs in the emulator's own environment."""


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    if sys.platform != "linux":
        pytest.skip("the package is for Linux, and the emulator runs it here")
    with emulation.start(tmp_path_factory.mktemp("emulator")) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with issuing.start() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def project(
    emulator: Emulator, issuer: Issuer, tmp_path_factory: pytest.TempPathFactory
) -> Project:
    """`production` has the settings that differ by account and trusts the issuer. `dev` is
    unchanged."""
    folder: Path = tmp_path_factory.mktemp("with a blank") / "project"
    project = Project(folder, emulator)
    machine = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
    project.set("base", architecture=machine)
    project.set(
        "production",
        s3_bucket="deployments",
        aws_environment_variables={
            "JWT_JWKS_URL": issuer.jwks_url,
            "JWT_ISSUER": issuing.NAME,
            "JWT_AUDIENCE": issuing.AUDIENCE,
        },
    )
    return project
