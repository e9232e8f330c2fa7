"""The smallest possible function: one GetItem with boto3, answered as JSON."""

import json
import os

import boto3

client = boto3.client("dynamodb")


def handler(event, context):  # noqa: ARG001
    session_id = event["path"].rsplit("_", 1)[1]
    key = {"PK": {"S": "acme#alice"}, "SK": {"S": f"SESSION#{session_id}"}}
    found = client.get_item(TableName=os.environ["SESSIONS_TABLE"], Key=key, ConsistentRead=True)
    title = found["Item"]["title"]["S"]
    return {"statusCode": 200, "body": json.dumps({"title": title})}
