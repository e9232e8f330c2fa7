"""Other ways to keep conversations in DynamoDB, each behind the same few methods (peer.py).

Each runs in a process of its own (worker.py), because LangChain and Chainlit want another
marshmallow than the service; all with the same boto3, on the same engine, with the same messages.
"""
