"""One ordinary turn of each framework, over its adapter. `bench.turn_costs` measures what it costs.

A module is run in its framework's environment, and is named after it. It has

    async def setup(base_url: str, token: str) -> Any     what the turns share
    async def turn(state: Any) -> None                    the next turn of one conversation

A module whose framework calls DynamoDB itself, without the service, also has

    def client(state: Any) -> Any                         the boto3 client whose calls are counted
"""
