"""Formats the figures as Markdown, checks them against the targets, writes docs/performance.md."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from bench import capacity, prices, svg

Found = dict[str, Any]

FLAT = 1.15

PAGES = {"turns": "frameworks.md"}
"""Of sections that are not in docs/performance.md."""


def text(found: Found) -> str:
    return "\n\n".join(f"## {heading(n)}\n\n{body}" for n, body in sections(found).items())


def heading(name: str) -> str:
    return name.replace("_", " ").capitalize()


def sections(found: Found) -> dict[str, str]:
    """Each part of the report, by the name of its marker in docs/."""
    makers: dict[str, tuple[str, Callable[[Any], str]]] = {
        "calls": ("calls", _calls),
        "dollars": ("calls", _dollars),
        "overhead": ("overhead", _overhead),
        "growth": ("growth", _growth),
        "deletes": ("growth", _deletes),
        "throughput": ("throughput", _throughput),
        "peers": ("peers", _peers),
        "at_once": ("peers", _at_once),
        "checkpoints": ("checkpoints", _checkpoints),
        "source_units": ("sources", _source_units),
        "source_reading": ("sources", _source_reading),
        "cold": ("cold", _cold),
        "verification": ("verification", _verification),
        "turns": ("turns", _turns),
    }
    made = {
        name: make(found[benchmark])
        for name, (benchmark, make) in makers.items()
        if benchmark in found
    }
    if made.keys() - PAGES.keys():
        # Those of docs/performance.md are of one run.
        front = {"machine": _machine(found["machine"]), "targets": _targets(found["targets"])}
        return front | made
    return made


def write(found: Found, docs: Path) -> None:
    """Writes each section between its markers, and draws the plots."""
    for name, body in sections(found).items():
        page = docs / PAGES.get(name, "performance.md")
        start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, _, rest = page.read_text().partition(start)
        _, _, after = rest.partition(end)
        if not after:
            raise ValueError(f"{page} has no markers for {name}")
        page.write_text(f"{before}{start}{body}\n{end}{after}")
    if "growth" in found:
        for name, drawing in _plots(found["growth"]).items():
            (docs / name).write_text(drawing)


# Targets


def targets(found: Found) -> list[dict[str, Any]]:
    """What the issues ask for, what was measured, and whether it meets the target."""
    rows: list[dict[str, Any]] = []
    if "calls" in found:
        over = sum(row["call_count"] > row["promised"] for row in found["calls"])
        rows.append(_at_most("routes that make more DynamoDB calls than promised", over, 0))
    if "overhead" in found:
        rows += [
            _at_most(f"CPU over plain boto3, {row['case']}", row["cpu_over_default"], row["target"])
            for row in found["overhead"]
            if row["target"]
        ]
    if "growth" in found:
        flat = [row for row in found["growth"]["flat"] if row["promised_flat"]]
        rows += [_at_most(_growing(row), row["wall_ratio"], FLAT) for row in flat]
    if "throughput" in found:
        rows += _throughput_targets(found["throughput"]["rows"])
    if "peers" in found:
        rows += _peer_targets(found["peers"])
    if "checkpoints" in found:
        rows += _checkpoint_targets(found["checkpoints"]["rows"])
    if "sources" in found:
        rows += _source_targets(found["sources"])
    if "turns" in found:
        rows += _turn_targets(found["turns"])
    return rows


def _at_most(what: str, value: float, most: float) -> dict[str, Any]:
    return {"what": what, "found": value, "target": f"≤ {most}", "met": value <= most}


def _growing(row: Found) -> str:
    first, last = row["points"][0]["size"], row["points"][-1]["size"]
    return f"time, {row['operation']}, {first:,} → {last:,} {row['grows']}"


def _throughput_targets(rows: list[Found]) -> Iterable[dict[str, Any]]:
    for row in rows:
        if row["target"] == "service" and row["clients"] == 64:
            yield {
                "what": "throughput at 64 clients, over the engine alone",
                "found": row["of_engine"],
                "target": "≥ 0.5",
                "met": row["of_engine"] >= 0.5,
            }


def _peer_targets(peers: Found) -> Iterable[dict[str, Any]]:
    by_key = {(row["operation"], row["peer"]): row for row in peers["rows"]}
    for (operation, peer), row in by_key.items():
        ours = by_key[operation, "this service"]
        if operation.startswith("turn") and "count" in peers["keeps"][peer] and row is not ours:
            ratio = ours["write_units"] / row["write_units"]
            what = f"write units, {operation}, over {peer}"
            yield {"what": what, "found": ratio, "target": "< 1.0", "met": ratio < 1}
        if peer == "two tables" and row["read_units"] and not operation.startswith("delete"):
            ratio = ours["read_units"] / row["read_units"]
            what = f"read units, {operation}, over two tables"
            yield {"what": what, "found": ratio, "target": "≤ 1.0", "met": ratio <= 1}
    ours = peers["at_once"]["this service"]
    for key, what in (("lost", "lost"), ("doubled", "duplicated")):
        yield {
            "what": f"messages {what} in 40 concurrent appends",
            "found": ours[key],
            "target": "0",
            "met": ours[key] == 0,
        }


def _checkpoint_targets(rows: list[Found]) -> Iterable[dict[str, Any]]:
    by_key = {(row["operation"], row["peer"]): row for row in rows}
    ours, plain = (
        by_key["put a checkpoint", peer]["write_units"] for peer in ("this service", "plain boto3")
    )
    yield _at_most("write units, put a checkpoint of 94 KB, over plain boto3", ours / plain, 1.0)
    for (operation, peer), row in by_key.items():
        if operation.startswith("the latest checkpoint") and peer == "this service":
            yield _at_most(f"calls, {operation}", int(row["call_count"]), 2)


def _source_targets(sources: Found) -> Iterable[dict[str, Any]]:
    by_request = {row["request"]: row for row in sources["units"]}
    for request in ("append", "edit, sources added", "edit, sources removed"):
        each = by_request[request]["each"]
        yield _at_most(f"write units for each indexed source, {request}", each, 3.0)
    for row in sources["reading"]:
        yield _at_most(f"CPU, grounding of {row['messages']}, over get", row["ratio"], 3.0)


# Tables


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The first column is text, the others are figures."""
    rule = "|---|" + "---:|" * (len(head) - 1)
    lines = [head, *rows]
    return "\n".join([_line(lines[0]), rule, *map(_line, lines[1:])])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _machine(machine: dict[str, str]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in machine.items())


def _targets(rows: list[dict[str, Any]]) -> str:
    return table(
        ("What", "measured", "target", ""),
        (
            (
                row["what"],
                f"{row['found']:.3f}" if isinstance(row["found"], float) else str(row["found"]),
                row["target"],
                "met" if row["met"] else "**not met**",
            )
            for row in rows
        ),
    )


def _calls(rows: list[Found]) -> str:
    made = table(
        (
            "Route",
            "calls",
            "allowed",
            "read units",
            "write units",
            "to DynamoDB",
            "from DynamoDB",
            "answer",
        ),
        (
            (
                row["route"],
                _operations(row),
                str(row["promised"]),
                _units(row["read_units"]),
                _units(row["write_units"]) + ("\\*" if row["worked_out"] else ""),
                _bytes(row["db_sent"]),
                _bytes(row["db_received"]),
                _bytes(row["answer_bytes"]),
            )
            for row in rows
        ),
    )
    return (
        f"{made}\n\n\\* Calculated for transactions: {capacity.RULE}. "
        "The engine reports the other units."
    )


def _operations(row: Found) -> str:
    names = [f"{n:g} {name}" for name, n in row["calls"].items()]
    return f"{row['call_count']:g}: {', '.join(names)}" if names else "–"


def _dollars(rows: list[Found]) -> str:
    kept = prices.PRICES
    made = table(
        ("Dollars per million", "DynamoDB", "Lambda", "API Gateway", "total"),
        (
            (row["route"], *(f"{row['dollars'][part]:,.2f}" for part in row["dollars"]))
            for row in rows
        ),
    )
    function = kept["lambda"]
    return (
        f"{made}\n\nPrices for {kept['region']} on {kept['date']}, without free tiers "
        f"(bench/prices.json). Lambda has {function['memory_mb']} MB. Its time is the CPU time "
        f"measured here plus an assumed {function['assumed_ms_per_dynamodb_call']} ms per DynamoDB "
        f"call. Not included: {kept['left_out']}."
    )


def _overhead(rows: list[Found]) -> str:
    return table(
        (
            "Route",
            "CPU ms",
            "plain boto3",
            "our client",
            "**over plain**",
            "over our client",
            "wall ms",
            "over plain",
            "over our client",
        ),
        (
            (
                row["case"],
                *(f"{row[f'{who}_cpu_ms']:.2f}" for who in ("app", "default", "tuned")),
                f"**{row['cpu_over_default']:.2f}**",
                f"{row['cpu_over_tuned']:.2f}",
                f"{row['app_wall_ms']:.2f}",
                f"{row['wall_over_default']:.2f}",
                f"{row['wall_over_tuned']:.2f}",
            )
            for row in rows
        ),
    )


def _growth(growth: Found) -> str:
    sizes = growth["sizes"]

    def cells(row: Found) -> list[str]:
        by_size = {point["size"]: _point(point) for point in row["points"]}
        return [by_size.get(size, "–") for size in sizes]

    return table(
        ("Median ms (units)", *(f"{size:,}" for size in sizes), "last / first", "CPU last / first"),
        (
            (
                f"{row['operation']}; {row['grows']}",
                *cells(row),
                f"{row['wall_ratio']:.2f}",
                f"{row['cpu_ratio']:.2f}",
            )
            for row in growth["flat"]
        ),
    )


def _point(point: Found) -> str:
    units = _units(point["read_units"] + point["write_units"])
    return f"{point['wall_ms']:.2f} ({units})"


def _deletes(growth: Found) -> str:
    return table(
        (
            "Messages",
            "seconds",
            "requests",
            "calls",
            "3 + ⌈n/25⌉",
            "read units",
            "write units",
            "left over",
        ),
        (
            (
                f"{row['messages']:,}",
                f"{row['seconds']:.2f}",
                str(row["requests"]),
                f"{row['calls']:,}",
                f"{row['promised_calls']:,}",
                _units(row["read_units"]),
                _units(row["write_units"]),
                "0",
            )
            for row in growth["deletes"]
        ),
    )


def _throughput(found: Found) -> str:
    names = {
        "service": "the service",
        "boto3": "boto3 alone behind gunicorn",
        "engine": "the engine alone",
    }
    made = table(
        (
            "",
            "clients",
            "per second",
            "p50 ms",
            "p99 ms",
            "failed",
            "over engine",
            "over boto3",
            "generator CPUs",
        ),
        (
            (
                names[row["target"]],
                str(row["clients"]),
                f"{row['per_second']:.0f}",
                f"{row['p50_ms']:.0f}",
                f"{row['p99_ms']:.0f}",
                str(row["failures"]),
                f"{row['of_engine']:.2f}",
                f"{row['of_boto3']:.2f}",
                f"{row['generator_cpus']:.2f}",
            )
            for row in found["rows"]
        ),
    )
    return (
        f"{made}\n\n{found['seconds']} s per row; gunicorn has {found['workers']} workers with "
        f"{found['threads']} threads each."
    )


def _peers(peers: Found) -> str:
    return f"{_compared(peers['rows'])}\n\n\\* Calculated: {capacity.RULE}."


def _checkpoints(found: Found) -> str:
    sizes = [
        f"{peer} {size['bytes']:,} bytes, {size['units']} units"
        for peer, size in found["sizes"].items()
    ]
    serializing = found["serializing"]
    return (
        f"{_compared(found['rows'])}\n\n\\* Calculated: {capacity.RULE}.\n\n"
        f"The items of a checkpoint, by Amazon's rule (1 unit per KB of each): {'; '.join(sizes)}. "
        "Of the time of AWS's saver, building and serializing a checkpoint is "
        f"{serializing['cpu_ms']:.2f} ms. The others get the bytes ready-made."
    )


def _compared(rows: list[Found]) -> str:
    return table(
        ("", "", "calls", "read units", "write units", "bytes", "CPU ms", "wall ms"),
        (
            (
                row["operation"],
                row["peer"],
                _operations(row) if row["supported"] else "not supported",
                _units(row["read_units"]),
                _units(row["write_units"]) + ("\\*" if row["worked_out"] else ""),
                _bytes(row["bytes"]),
                "–" if row["cpu_ms"] is None else f"{row['cpu_ms']:.1f}",
                "–" if row["wall_ms"] is None else f"{row['wall_ms']:.1f}",
            )
            for row in rows
        ),
    )


def _at_once(peers: Found) -> str:
    return table(
        (
            "40 concurrent appends",
            "lost",
            "duplicated",
            "refused",
            "its own count",
            "holds",
            "keeps consistent",
        ),
        (
            (
                peer,
                *(str(found[what]) for what in ("lost", "doubled", "refused")),
                "–" if found["count_says"] is None else str(found["count_says"]),
                _held(peers["held"][peer]),
                peers["keeps"][peer],
            )
            for peer, found in peers["at_once"].items()
        ),
    )


def _held(held: Found) -> str:
    return f"fails after {held['held']:,}" if held["error"] else f"{held['held']:,} or more"


def _cold(cold: Found) -> str:
    return table(
        ("Process start to first answer", "median ms", "CPU ms", "ours / theirs", "target"),
        (
            (
                name,
                f"{milliseconds:.0f}",
                f"{cold['median_cpu_ms'][name]:.0f}",
                f"{cold['ratios'][name]:.2f}" if name in cold["ratios"] else "–",
                f"≤ {cold['targets'][name]}" if name in cold["targets"] else "–",
            )
            for name, milliseconds in cold["median_ms"].items()
        ),
    )


def _verification(rows: list[Found]) -> str:
    return table(
        ("Token", "new, µs of CPU", "seen before", "whole request", "share of verification"),
        (
            (
                row["algorithm"],
                f"{row['verify_us']:.0f}",
                f"{row['again_us']:.0f}",
                f"{row['request_us']:.0f}",
                f"{row['share']:.1%}",
            )
            for row in rows
        ),
    )


def _turns(rows: list[Found]) -> str:
    def goals(row: Found) -> str:
        own = [each for each in _turn_targets(rows) if each["turn"] == row["name"]]
        told = [each["short"] + ("" if each["met"] else " (not met)") for each in own]
        return ", ".join(told) or "–"

    made = table(
        (
            "A turn with",
            "requests",
            "DynamoDB calls",
            "read units",
            "write units",
            "$ of DynamoDB",
            "$ in all",
            "target",
        ),
        (
            (
                f"{row['title']} {row['version']}".strip(),
                str(len(row["requests"]) or "–"),
                _operations(row),
                _units(row["read_units"]),
                _units(row["write_units"]) + (r"\*" if row["worked_out"] else ""),
                f"{row['dollars']['dynamodb']:.2f}",
                f"{row['dollars']['total']:.2f}" if row["requests"] else "–",
                goals(row),
            )
            for row in rows
        ),
    )
    return f"{made}\n\nDollars are those of a million turns. \\* Calculated: {capacity.RULE}."


def _turn_targets(rows: list[Found]) -> Iterable[dict[str, Any]]:
    """`turn` is the name of the framework's module; `short` is the target in the table of turns."""
    by_name = {row["name"]: row for row in rows}
    for name, row in by_name.items():
        limits = [("requests", len(row["requests"]), row["most_requests"])]
        if other := by_name.get(row["like"]):
            limits.append(("write units", row["write_units"], other["write_units"]))
            if row["reads"]:
                limits.append(("read units", row["read_units"], other["read_units"]))
        for what, found, most in limits:
            if most is not None:
                yield {
                    **_at_most(f"{what} of a turn, {row['title']}", found, most),
                    "turn": name,
                    "short": f"≤ {most:g} {what}",
                }


def _units(units: float) -> str:
    return f"{units:,.1f}".removesuffix(".0") if units else "–"


def _bytes(count: float) -> str:
    if count < 1000:
        return f"{count:.0f} B"
    return f"{count / 1000:.1f} KB" if count < 1_000_000 else f"{count / 1_000_000:.1f} MB"


# Plots


def _plots(growth: Found) -> dict[str, str]:
    def lines(grows: str) -> dict[str, list[tuple[float, float]]]:
        return {
            row["operation"]: [(point["size"], point["wall_ms"]) for point in row["points"]]
            for row in growth["flat"]
            if row["grows"] == grows
        }

    deletes = {
        "seconds": [(row["messages"], row["seconds"]) for row in growth["deletes"]],
        "DynamoDB calls": [(row["messages"], row["calls"]) for row in growth["deletes"]],
    }
    sessions, messages = "sessions per user", "messages per session"
    return {
        "growth-sessions.svg": svg.chart(
            "Request time as a user's sessions grow", sessions, "median ms", lines(sessions)
        ),
        "growth-messages.svg": svg.chart(
            "Request time as a session grows", messages, "median ms", lines(messages)
        ),
        "growth-deletes.svg": svg.chart(
            "Deleting a session", "messages in the session", "seconds, calls", deletes
        ),
    }


def _source_units(sources: Found) -> str:
    def cells(row: Found) -> list[str]:
        return [f"{_units(p['write_units'])} ({p['calls']:g})" for p in row["points"]]

    counts = [point["sources"] for point in sources["units"][0]["points"]]
    return table(
        ("Write units (calls)", *(f"{count} sources" for count in counts), "each"),
        ((row["request"], *cells(row), f"{row['each']:.1f}") for row in sources["units"]),
    )


def _source_reading(sources: Found) -> str:
    return table(
        ("Session", "calls", "read units", "get, CPU ms", "grounding, CPU ms", "ratio"),
        (
            (
                row["messages"],
                f"{row['grounding_calls']:g}",
                _units(row["grounding_units"]),
                f"{row['get_cpu_ms']:.1f}",
                f"{row['grounding_cpu_ms']:.1f}",
                f"**{row['ratio']:.2f}**",
            )
            for row in sources["reading"]
        ),
    )
