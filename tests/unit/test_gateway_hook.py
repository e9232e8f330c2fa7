"""The hook that makes API Gateway pass bytes on, against a gateway that counts what it is asked."""

from types import SimpleNamespace
from typing import Any

import pytest

from deploy import gateway
from deploy.gateway import pass_bytes_on

ADDED = {"op": "add", "path": "/binaryMediaTypes/application~1octet-stream"}


class TooManyRequests(Exception):
    pass


class Gateway:
    """Answers like AWS: an API without binary types has no such member."""

    exceptions = SimpleNamespace(TooManyRequestsException=TooManyRequests)

    def __init__(self, *types: str, busy: int = 0) -> None:
        self.types = types
        self.busy = busy
        self.asked: list[tuple[str, Any]] = []

    def get_rest_api(self, restApiId: str) -> dict[str, Any]:
        return {"id": restApiId, **({"binaryMediaTypes": list(self.types)} if self.types else {})}

    def update_rest_api(self, restApiId: str, patchOperations: Any) -> None:
        self.asked.append((restApiId, patchOperations))

    def create_deployment(self, restApiId: str, stageName: str, description: str) -> None:
        if self.busy:
            self.busy -= 1
            raise TooManyRequests
        self.asked.append((restApiId, stageName))


def zappa(of: Gateway) -> Any:
    core = SimpleNamespace(apigateway_client=of, get_api_id=lambda name: f"api of {name}")
    return SimpleNamespace(zappa=core, lambda_name="store-dev", api_stage="dev")


@pytest.mark.parametrize("types", [(), ("image/png",)])
def test_the_type_is_added_and_the_stage_deployed_again(types):
    aws = Gateway(*types)
    pass_bytes_on(zappa(aws))
    assert aws.asked == [("api of store-dev", [ADDED]), ("api of store-dev", "dev")]


def test_nothing_is_done_if_the_api_has_the_type():
    aws = Gateway("application/octet-stream")
    pass_bytes_on(zappa(aws))
    assert aws.asked == []


def test_it_waits_until_the_account_may_deploy_again(monkeypatch):
    waited: list[float] = []
    monkeypatch.setattr(gateway.time, "sleep", waited.append)
    aws = Gateway(busy=2)
    pass_bytes_on(zappa(aws))
    assert waited == [5, 5]
    assert aws.asked[-1] == ("api of store-dev", "dev")
    with pytest.raises(TooManyRequests):
        pass_bytes_on(zappa(Gateway(busy=9)))
