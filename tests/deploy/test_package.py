"""The package for Lambda: it holds only what runs there, as bytecode that is valid there."""

import importlib.util
import json
import marshal
import os
import platform
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.deploy.emulator import ROOT, Emulator, Project

NOWHERE = Emulator(port=9, log=Path(os.devnull))
"""Packing does not call AWS."""

CRYPTOGRAPHY = ("cryptography/", "_cffi_backend")

TOP = {
    "_cffi_backend",
    "apispec",
    "app",
    "blinker",
    "click",
    "cryptography",
    "durationpy",
    "flask",
    "flask_cors",
    "flask_smorest",
    "flask_swagger_ui",
    "itsdangerous",
    "jinja2",
    "jwt",
    "markupsafe",
    "marshmallow",
    "packaging",
    "typing_extensions",
    "ulid",
    "webargs",
    "werkzeug",
    "zappa",
    "zappa_settings",
}


ISSUERS = json.dumps(
    {
        "issuers": [
            {
                "issuer": "https://login.acme.example/",
                "jwks_url": "https://login.acme.example/jwks.json",
                "audiences": ["store"],
                "tenant": "acme",
                "rights": {"claims": ["scope"]},
            }
        ]
    }
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("package") / "project", NOWHERE)
    machine = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
    project.set("base", architecture=machine)
    # No setting excludes these.
    (project.folder / "notes.md").write_text("Not for Lambda")
    (project.folder / "tests").mkdir()
    (project.folder / "tests" / "test_it.py").write_text("")
    (project.folder / ".env").write_text("JWT_SECRET=not-for-lambda")
    (project.folder / "tests" / "issuers.json").write_text("{}")
    (project.folder / "issuers.json").write_text(ISSUERS)
    return project


@pytest.fixture(scope="module")
def archive(project: Project) -> zipfile.ZipFile:
    project.zappa("package", "production", "--output", "production.zip")
    return zipfile.ZipFile(project.folder / "production.zip")


@pytest.fixture(scope="module")
def unpacked(archive: zipfile.ZipFile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("task")
    archive.extractall(folder)
    return folder


def test_the_package_holds_only_the_app_and_what_it_imports(archive):
    names = archive.namelist()
    top = {name.split("/")[0].split(".")[0] for name in names if ".dist-info/" not in name}
    assert top == TOP | {"issuers"}
    of_distributions = [name for name in names if ".dist-info/" in name]
    assert {name.rsplit("/", 1)[1] for name in of_distributions} == {"METADATA"}


def test_the_package_holds_every_module_and_page_of_the_app(archive):
    files = [path for path in (ROOT / "app").rglob("*.*") if "__pycache__" not in path.parts]
    sources = {path.relative_to(ROOT).as_posix() for path in files}
    packed = {re.sub("pyc$", "py", name) for name in archive.namelist() if name[:4] == "app/"}
    assert packed == sources


def test_the_package_holds_the_file_of_issuers(archive):
    assert archive.read("issuers.json").decode() == ISSUERS
    assert [name for name in archive.namelist() if name.endswith("issuers.json")] == [
        "issuers.json"
    ]


def test_code_is_bytecode_that_python_runs_without_the_source(archive):
    names = archive.namelist()
    assert not [name for name in names if name.endswith(".py")]
    compiled = [name for name in names if name.endswith(".pyc")]
    assert len(compiled) > 200
    for name in compiled:
        magic, flags = archive.read(name)[:4], archive.read(name)[4:8]
        assert magic == importlib.util.MAGIC_NUMBER, name
        assert flags == b"\x01\0\0\0", name  # an unchecked hash-based .pyc


def test_native_code_is_for_linux(archive):
    libraries = [name for name in archive.namelist() if ".so" in name]
    assert libraries
    assert all(archive.read(name)[:4] == b"\x7fELF" for name in libraries)


def test_only_three_files_of_swagger_ui_are_packed(archive):
    dist = [name for name in archive.namelist() if name.startswith("flask_swagger_ui/dist/")]
    assert sorted(name.rsplit("/", 1)[1] for name in dist) == [
        "swagger-ui-bundle.js",
        "swagger-ui-standalone-preset.js",
        "swagger-ui.css",
    ]


def test_the_package_is_small(archive):
    """Without cryptography, the package takes about 3.2 MiB. cryptography's one library takes
    4.7 MiB compressed; RS256 and ES256 cannot be verified without it (docs/deploy.md)."""
    sizes = {True: 0, False: 0}
    for member in archive.infolist():
        sizes[member.filename.startswith(CRYPTOGRAPHY)] += member.compress_size
    assert sizes[False] < 3.3 * 2**20
    assert sum(sizes.values()) < 8.0 * 2**20


def test_tracebacks_name_the_files_by_their_path_on_lambda(archive):
    code = marshal.loads(archive.read("app/messages/store.pyc")[16:])  # noqa: S302  our own file
    assert code.co_filename == "/var/task/app/messages/store.py"


def test_the_package_holds_no_secret(archive):
    everything = b"".join(archive.read(name) for name in archive.namelist())
    assert b"not-for-lambda" not in everything


def test_the_same_sources_give_the_same_bytes(project, archive):
    project.zappa("package", "production", "--output", "again.zip")
    first = Path(archive.filename).read_bytes()
    assert (project.folder / "again.zip").read_bytes() == first


ANSWER = """
import json, sys
from app.lambda_handler import handler
class Context:
    def get_remaining_time_in_millis(self): return 29000
event = {"httpMethod": "GET", "path": "/health", "headers": {}, "requestContext": {}}
print(json.dumps([handler(event, Context())["statusCode"], sorted(sys.modules)]))
"""


def answer(task: Path, folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Runs the handler. The only other packages are those of Lambda's runtime."""
    runtime = folder / "runtime"
    runtime.mkdir()
    for name in ("boto3", "botocore", "s3transfer", "jmespath", "urllib3", "dateutil", "six"):
        found = importlib.util.find_spec(name)
        assert found is not None and found.origin is not None
        path = Path(found.origin)
        whole = path.parent if found.submodule_search_locations else path
        (runtime / whole.name).symlink_to(whole)
    return subprocess.run(
        [sys.executable, "-S", "-c", ANSWER],
        cwd=task,
        env={
            "PYTHONPATH": f"{task}:{runtime}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "SESSIONS_TABLE": "sessions",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "INSTANTIATE_LAMBDA_HANDLER_ON_IMPORT": "1",
            **settings,
        },
        capture_output=True,
        text=True,
        check=False,
    )


WITH_ISSUER = (
    {"JWT_JWKS_URL": "https://login.acme.example/jwks.json"},
    {"ISSUERS_FILE": "issuers.json"},
)


@pytest.mark.parametrize("issuer", WITH_ISSUER, ids=lambda issuer: next(iter(issuer)))
def test_the_handler_runs_from_the_archive_alone(unpacked, tmp_path, issuer):
    done = answer(unpacked, tmp_path, **issuer)
    assert done.returncode == 0, done.stderr
    status, modules = json.loads(done.stdout.splitlines()[-1])
    assert status == 200
    assert not {"zappa.cli", "zappa.core", "troposphere", "requests"} & set(modules)


@pytest.fixture(scope="module")
def traced(project: Project, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The package of a project of which a stage has OTEL_ENABLED."""
    project.set("production", aws_environment_variables={"OTEL_ENABLED": "1"})
    project.zappa("package", "production", "--output", "traced.zip")
    return zipfile.ZipFile(project.folder / "traced.zip")


def test_a_package_with_traces_has_what_they_need_and_is_far_below_lambdas_limit(traced):
    members = traced.infolist()
    top = {member.filename.split("/")[0].split(".")[0] for member in members}
    assert {"opentelemetry", "requests", "wrapt"} <= top
    assert sum(member.compress_size for member in members) < 10.4 * 2**20  # of 50
    assert sum(member.file_size for member in members) < 32 * 2**20  # of 250


def test_the_handler_runs_with_traces_from_the_archive_alone(traced, tmp_path):
    task = tmp_path / "task"
    traced.extractall(task)
    done = answer(
        task,
        tmp_path,
        **WITH_ISSUER[0],
        OTEL_ENABLED="1",
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
    )
    assert done.returncode == 0, done.stderr
    [line] = [line for line in done.stdout.splitlines() if line.startswith("[")]
    status, modules = json.loads(line)
    assert status == 200
    assert "opentelemetry.sdk.trace" in modules


def test_the_pins_of_traces_are_those_that_were_tested():
    pattern = r"^[\w.-]+==[\w.]+"
    tested = set(re.findall(pattern, (ROOT / "requirements-dev.txt").read_text(), re.M))
    assert set(re.findall(pattern, (ROOT / "requirements-otel.txt").read_text(), re.M)) <= tested
