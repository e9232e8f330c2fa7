"""The DynamoDB table: its keys, the calls to it, and the time a request may spend. No Flask."""
