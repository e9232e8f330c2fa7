"""The DynamoDB table: its keys, the calls to it, and what a request may spend on them. No Flask."""
