"""Creates, updates and removes a stage's alarms, dashboard and log retention in CloudWatch.

python -m deploy.alarms STAGE [--notify TOPIC_ARN] [--print | --delete]
"""

import argparse
import json
from contextlib import suppress
from typing import Any

from deploy.stage import Stage, aws_errors_in_one_line

RETENTION_DAYS = 30
MINUTE, HOUR = 60, 3600

Alarm = dict[str, Any]
"""What PutMetricAlarm takes."""


def alarms(stage: Stage, notify: str | None) -> list[Alarm]:
    gateway = {"Namespace": "AWS/ApiGateway", "Dimensions": _dimensions(**_api(stage))}
    function = {"Namespace": "AWS/Lambda", "Dimensions": _dimensions(FunctionName=stage.function)}
    # Lambda's own Errors cannot be used: an authorizer answers 401 by raising, so every bad token
    # counts as an error.
    ours = {"Namespace": stage.variables["METRICS_NAMESPACE"], "Dimensions": []}
    made = [
        {
            "AlarmName": "5xx",
            "AlarmDescription": "More than 5 answers with status 500 or above in 5 minutes. "
            'Logs: filter error = 1, or message = "unexpected exception".',
            **gateway,
            "MetricName": "5XXError",
            "Statistic": "Sum",
            "Period": 5 * MINUTE,
            "EvaluationPeriods": 1,
            "Threshold": 5,
        },
        {
            "AlarmName": "latency",
            "AlarmDescription": "For 15 minutes, 1 in 100 requests took more than 3 seconds.",
            **gateway,
            "MetricName": "Latency",
            "ExtendedStatistic": "p99",
            "Period": 5 * MINUTE,
            "EvaluationPeriods": 3,
            "Threshold": 3000,
        },
        {
            "AlarmName": "throttled-by-lambda",
            "AlarmDescription": "Requests were refused: the account's concurrency is used up.",
            **function,
            "MetricName": "Throttles",
            "Statistic": "Sum",
            "Period": 5 * MINUTE,
            "EvaluationPeriods": 1,
            "Threshold": 0,
        },
        {
            "AlarmName": "throttled-by-dynamodb",
            "AlarmDescription": "DynamoDB throttled more than 100 calls in 5 minutes. They are "
            "retried; after the request's time budget they become 503.",
            **ours,
            "MetricName": "db_throttles",
            "Statistic": "Sum",
            "Period": 5 * MINUTE,
            "EvaluationPeriods": 1,
            "Threshold": 100,
        },
        {
            "AlarmName": "sweep-failed",
            "AlarmDescription": "The sweep could not remove something, or removed nothing at all. "
            'The next run continues. Logs: filter message = "sweep" and sweep_failed = 1.',
            **ours,
            "MetricName": "sweep_failed",
            "Statistic": "Sum",
            "Period": HOUR,
            "EvaluationPeriods": 1,
            "Threshold": 0,
        },
        {
            "AlarmName": "sweep-backlog",
            "AlarmDescription": "Something has been due for removal for more than 3 hours: the "
            "sweep does not reach it, or cannot remove it.",
            **ours,
            "MetricName": "sweep_backlog_seconds",
            "Statistic": "Maximum",
            "Period": HOUR,
            "EvaluationPeriods": 1,
            "Threshold": 3 * HOUR,
        },
        {
            "AlarmName": "sweep-missing",
            "AlarmDescription": "No sweep has reported for 3 hours. Does its schedule exist?",
            **ours,
            "MetricName": "sweep_failed",
            "Statistic": "SampleCount",
            "Period": HOUR,
            "EvaluationPeriods": 3,
            "Threshold": 1,
            "ComparisonOperator": "LessThanThreshold",
            "TreatMissingData": "breaching",
        },
    ]
    common: Alarm = {
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
        "AlarmActions": [notify] if notify else [],
        "OKActions": [notify] if notify else [],
        "Tags": [{"Key": name, "Value": value} for name, value in stage.tags.items()],
    }
    return [
        {**common, **alarm, "AlarmName": f"{stage.function}-{alarm['AlarmName']}"} for alarm in made
    ]


def dashboard(stage: Stage) -> dict[str, Any]:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html"""
    api = [part for pair in _api(stage).items() for part in pair]
    gateway, ours = "AWS/ApiGateway", stage.variables["METRICS_NAMESPACE"]
    table = stage.variables["SESSIONS_TABLE"]
    capacity = ["AWS/DynamoDB", "ConsumedWriteCapacityUnits", "TableName", table]
    function = ["FunctionName", stage.function]

    def by_operation(metric: str, statistic: str) -> list[Any]:
        search = f"{{{ours},operation}} MetricName={metric}"
        return [[{"expression": f"SEARCH('{search}', '{statistic}', 300)"}]]

    rows: list[tuple[str, list[Any]]] = [
        (
            "Requests and errors",
            [
                [gateway, "Count", *api],
                [gateway, "4XXError", *api],
                [gateway, "5XXError", *api],
            ],
        ),
        (
            "Latency (ms)",
            [[gateway, "Latency", *api, {"stat": stat}] for stat in ("p50", "p90", "p99")],
        ),
        ("Latency by operation (p99, ms)", by_operation("ms", "p99")),
        ("DynamoDB calls by operation", by_operation("db_calls", "Sum")),
        (
            "DynamoDB: retries, throttles",
            [[ours, "db_retries"], [ours, "db_throttles"]],
        ),
        (
            "Capacity units",
            [capacity, [*capacity[:1], "ConsumedReadCapacityUnits", *capacity[2:]]],
        ),
        (
            "Lambda",
            [
                ["AWS/Lambda", "ConcurrentExecutions", *function, {"stat": "Maximum"}],
                ["AWS/Lambda", "Throttles", *function],
            ],
        ),
        (
            "Sweeps",
            [
                [ours, "sweep_failed", {"stat": "SampleCount"}],
                [ours, "sweep_failed"],
                [ours, "sweep_backlog_seconds", {"stat": "Maximum", "yAxis": "right"}],
            ],
        ),
    ]
    widgets = [
        {
            "type": "metric",
            "x": 12 * (number % 2),
            "y": 6 * (number // 2),
            "width": 12,
            "height": 6,
            "properties": {
                "title": title,
                "metrics": metrics,
                "region": stage.region,
                "stat": "Sum",
                "period": 300,
            },
        }
        for number, (title, metrics) in enumerate(rows)
    ]
    return {"widgets": widgets}


def _api(stage: Stage) -> dict[str, str]:
    return {"ApiName": stage.function, "Stage": stage.name}


def _dimensions(**pairs: str) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in pairs.items()]


def make(stage: Stage, notify: str | None) -> None:
    metrics, logs = stage.client("cloudwatch"), stage.client("logs")
    for alarm in alarms(stage, notify):
        metrics.put_metric_alarm(**alarm)
        print(f"alarm {alarm['AlarmName']}: {alarm['AlarmDescription']}")
    metrics.put_dashboard(DashboardName=stage.function, DashboardBody=json.dumps(dashboard(stage)))
    print(f"dashboard {stage.function}")
    group = f"/aws/lambda/{stage.function}"
    with suppress(logs.exceptions.ResourceAlreadyExistsException):
        logs.create_log_group(logGroupName=group, tags=stage.tags)
    logs.put_retention_policy(logGroupName=group, retentionInDays=RETENTION_DAYS)
    print(f"log group {group} keeps its lines for {RETENTION_DAYS} days")
    if not notify:
        print("The alarms notify nobody. Use --notify with the ARN of an SNS topic.")


def delete(stage: Stage) -> None:
    """Keeps the log group, because its lines may still be needed."""
    metrics = stage.client("cloudwatch")
    metrics.delete_alarms(AlarmNames=[alarm["AlarmName"] for alarm in alarms(stage, None)])
    # AWS answers ResourceNotFound for a dashboard that does not exist. For alarms it does not.
    if metrics.list_dashboards(DashboardNamePrefix=stage.function)["DashboardEntries"]:
        metrics.delete_dashboards(DashboardNames=[stage.function])
    print(f"removed the alarms and the dashboard of {stage.function}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, prog="./scripts/alarms")
    parser.add_argument("stage")
    parser.add_argument("--notify", metavar="TOPIC_ARN", help="the SNS topic to notify")
    only = parser.add_mutually_exclusive_group()
    only.add_argument(
        "--print", action="store_true", help="show what would be created, without calling AWS"
    )
    only.add_argument("--delete", action="store_true")
    arguments = parser.parse_args()
    stage = Stage(arguments.stage)
    if arguments.print:
        shown = {"alarms": alarms(stage, arguments.notify), "dashboard": dashboard(stage)}
        print(json.dumps(shown, indent=2))
    elif arguments.delete:
        delete(stage)
    else:
        make(stage, arguments.notify)


if __name__ == "__main__":
    with aws_errors_in_one_line():
        main()
