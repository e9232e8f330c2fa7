"""Other ways to store conversations in DynamoDB, all behind the same few methods (peer.py).

Each runs in its own process (worker.py), because LangChain and Chainlit need another version of
marshmallow than the service. All use the same boto3, the same engine and the same messages.
"""
