"""What was measured, as tables, plots and verdicts."""

import json

from gates import Gate, at, judge
from peers import PEERS, QUOTED


def of_nginx(figures):
    return figures["vestibule"]["seen"]["server_cpu_us"] / figures["nginx"]["seen"]["server_cpu_us"]


def added(figure):
    """What is added to a direct call, compared with what nginx adds."""
    def read(figures):
        direct = figures["direct"]["paced"][figure]
        return (figures["vestibule"]["paced"][figure] - direct) / (figures["nginx"]["paced"][figure] - direct)
    return read


def times(name):
    return lambda figures: figures[name]["seen"]["server_cpu_us"] / figures["vestibule"]["seen"]["server_cpu_us"]


def p99(figures):
    return figures["vestibule"]["paced"]["p99_us"] / figures["nginx"]["paced"]["p99_us"]


def quoted(name):
    return lambda figures: QUOTED[name] / figures["vestibule"]["seen"]["server_cpu_us"]


def most(title, read, limit):
    return Gate(title, read, limit, at_least=False)


GATES = [
    most("token seen before, times nginx", of_nginx, 1.6),
    Gate("HAProxy with JWT, times ours", times("haproxy"), 5),
    Gate("agentgateway with its session kept (quoted), times ours", quoted("agentgateway, MCP, session kept"), 13),
    Gate("agentgateway stateless (quoted), times ours", quoted("agentgateway, MCP, stateless"), 20),
    most("token never seen, us", at("vestibule", "new", "server_cpu_us"), 115),
    most("answer that is examined, us more per KB", at("vestibule", "examined", "large", "us_per_kb"), 4),
    *(most(f"refused for its {name}, us", at("vestibule", "refused", name, "server_cpu_us"), 10) for name in ("kid", "alg", "audience", "expiry")),
    most("refused for its signature, us", at("vestibule", "refused", "signature", "server_cpu_us"), 75),
    most("kept of refused tokens", at("vestibule", "refused", "kept"), 0),
    most("filtered list of 446 tools, us", at("vestibule", "list", "server_cpu_us"), 200),
    most("added p50 at 1,000 calls a second, times nginx's", added("p50_us"), 1.15),
    most("p99 at 1,000 calls a second, times nginx's", p99, 1.4),
    most("idle, MiB", at("vestibule", "idle_mib"), 10),
    most("idle connection, KiB", at("vestibule", "connection_kib"), 12),
    most("start to listening, ms", at("vestibule", "start", "listening_ms"), 15),
]

BEGIN, END = "<!-- figures: written by bench/gateway --docs -->", "<!-- end of figures -->"


def report(figures, root, docs):
    """Prints the tables, keeps the figures, and returns the gates that were missed."""
    verdicts = [judge(gate, figures) for gate in GATES]
    text = "\n".join([*table(figures), "", *own(figures), "", *gates(verdicts)])
    print(text)
    folder = root / "artefacts"
    folder.mkdir(exist_ok=True)
    (folder / "bench-gateway.json").write_text(json.dumps(figures, indent=2) + "\n")
    if docs:
        write(root / "docs", figures, text)
    return [gate for gate, (_, verdict) in zip(GATES, verdicts) if verdict == "MISSED"]


def gateways(figures):
    kinds = [(kind.name, kind.label) for kind in PEERS] + [("vestibule", "**vestibule, every check**")]
    return [(name, label) for name, label in kinds if name in figures or name in figures["missing"]]


def table(figures):
    yield "| gateway | token seen before, us of processor per call | token never seen, us | calls/s, seen | p50 / p99 at 1,000 calls/s, us | KiB per idle connection |"
    yield "|---|---|---|---|---|---|"
    for name, label in gateways(figures):
        if name in figures["missing"]:
            yield f"| {label} | not measured: {figures['missing'][name]} | | | | |"
            continue
        held = figures[name]
        seen, new, paced = held.get("seen", {}), held.get("new", {}), held.get("paced", {})
        both = f"{number(paced.get('p50_us'), 0)} / {number(paced.get('p99_us'), 0)}" if paced else ""
        yield (f"| {label} | {number(seen.get('server_cpu_us'))} | {number(new.get('server_cpu_us'))} | {number(seen.get('per_second'), 0)} "
               f"| {both} | {number(held.get('connection_kib'))} |")
    for name, micros in QUOTED.items():
        yield f"| {name} (quoted, not of this run) | {micros} | | | | |"


def own(figures):
    held = figures["vestibule"]
    yield "| vestibule, us of processor per call | |"
    yield "|---|---|"
    rows = [("legacy revision, token seen before", at("seen")), ("revision 2026-07-28, token seen before", at("modern")), ("token never seen", at("new"))]
    for size in ("small", "large"):
        for kind in ("untouched", "searched"):
            rows.append((f"{size} answer, {kind}", at("examined", size, kind)))
    rows += [(f"refused for its {name}", at("refused", name)) for name in ("kid", "alg", "audience", "expiry", "signature")]
    rows.append(("filtered list of 446 tools", at("list")))
    for title, read in rows:
        try:
            row = read(held)
        except KeyError:
            continue
        yield f"| {title}{size_of(row)} | {number(row['server_cpu_us'])} |"


def size_of(row):
    return f" ({row['bytes'] / 1024:.1f} KiB)" if row.get("bytes") else ""


def gates(verdicts):
    yield "| gate | measured | limit | |"
    yield "|---|---|---|---|"
    for gate, (value, verdict) in zip(GATES, verdicts):
        yield f"| {gate.title} | {number(value, 2) or 'not measured'} | {gate.words} | {verdict} |"


def number(value, digits=1):
    return "" if value is None else f"{value:.{digits}f}"


def write(docs, figures, text):
    """Puts the tables into the page, and the plots beside it."""
    folder = docs / "plots"
    folder.mkdir(exist_ok=True)
    for name, title, row in (("gateway-seen", "Token seen before", "seen"), ("gateway-new", "Token never seen", "new")):
        bars = [(label.replace("*", ""), figures[key][row]["server_cpu_us"]) for key, label in gateways(figures) if row in figures.get(key, {})]
        if row == "seen":
            bars += [(f"{quoted_name} (quoted)", micros) for quoted_name, micros in QUOTED.items()]
        (folder / f"{name}.svg").write_text(plot(f"{title}: processor time per call, us", bars))
    page = docs / "benchmarks.md"
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    plots = "![Token seen before](plots/gateway-seen.svg)\n\n![Token never seen](plots/gateway-new.svg)"
    page.write_text(f"{before}{BEGIN}\n\n{plots}\n\n{text}\n\n{END}{after}")


def plot(title, bars):
    """Horizontal bars; what is ten times longer than our own is cut, and says its length."""
    own = next((value for label, value in bars if label.startswith("vestibule")), bars[-1][1])
    longest = min(max(value for _, value in bars), own * 12)
    height, left, wide = 26, 290, 420
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + wide + 110} {height * len(bars) + 44}" '
             'font-family="system-ui, sans-serif" font-size="13" role="img">',
             f"<title>{title}</title>",
             '<rect width="100%" height="100%" fill="#fff"/>',
             f'<text x="10" y="20" font-weight="600" fill="#222">{title}</text>']
    for row, (label, value) in enumerate(bars):
        y = 34 + row * height
        width = max(2, wide * min(value, longest) / longest)
        colour = "#1f6feb" if label.startswith("vestibule") else "#9aa4b2"
        end = " (cut)" if value > longest else ""
        lines.append(f'<text x="{left - 8}" y="{y + 15}" text-anchor="end" fill="#222">{label}</text>')
        lines.append(f'<rect x="{left}" y="{y + 2}" width="{width:.1f}" height="{height - 8}" rx="2" fill="{colour}"/>')
        lines.append(f'<text x="{left + width + 6:.1f}" y="{y + 15}" fill="#222">{value:,.1f}{end}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"
