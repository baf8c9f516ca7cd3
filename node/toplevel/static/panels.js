// Panels: each draws one part of the state.  Everything that was received is put in as text, never as markup.

import { isChinese, word } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const WAITING_FIRST = { waiting: 0, granted: 1, refused: 2 };

export const at = (id) => document.getElementById(id);

export function make(tag, { text = "", classes = "", title = "", click = null } = {}, ...children) {
  const element = document.createElement(tag);
  if (text !== "") element.textContent = text;
  if (classes) element.className = classes;
  if (title) element.title = title;
  if (click) element.addEventListener("click", click);
  element.append(...children);
  return element;
}

export function clock(seconds) {
  return seconds ? new Date(seconds * 1000).toLocaleTimeString("zh-CN", { hour12: false }) : "";
}

function since(seconds, now) {
  const passed = Math.max(0, now - seconds);
  if (!seconds) return "";
  if (passed < 1.5) return word("now_word");
  const [count, unit] = passed < 120 ? [passed, "seconds"] : passed < 7200 ? [passed / 60, "minutes"] : [passed / 3600, "hours"];
  return `${Math.round(count)} ${word(unit)}${word("ago")}`;
}

function fill(id, items, empty) {
  const list = at(id);
  const top = list.scrollTop;
  list.replaceChildren(...(items.length ? items : [make("li", { text: word(empty), classes: "quiet" })]));
  list.scrollTop = top;
}

function bars(svg, values, height, bad = () => false) {
  const most = Math.max(1, ...values.map((value) => value || 0));
  const width = 300 / Math.max(values.length, 1);
  svg.replaceChildren(...values.map((value, place) => {
    const bar = document.createElementNS(SVG, "rect");
    const tall = bad(place) ? height : ((value || 0) / most) * height;
    for (const [name, number] of [["x", place * width], ["y", height - tall], ["width", width * 0.8], ["height", tall]]) {
      bar.setAttribute(name, number.toFixed(2));
    }
    bar.setAttribute("class", bad(place) ? "bar bad" : "bar");
    return bar;
  }));
}

export function drawTiles(state) {
  const { inbox } = state;
  const total = state.tables.reduce((sum, table) => sum + table.rows, 0);
  const tile = (name, value, more, classes = "") => make("div", { classes: "tile" },
    make("div", { text: word(name), classes: "name" }),
    make("div", { text: value, classes: `value ${classes}` }), make("div", { text: more, classes: "more" }));
  const chart = document.createElementNS(SVG, "svg");
  chart.setAttribute("viewBox", "0 0 300 30");
  chart.setAttribute("preserveAspectRatio", "none");
  bars(chart, state.rates, 30);
  const rate = make("div", { classes: "tile" }, make("div", { text: word("rate"), classes: "name" }),
    make("div", { text: state.rates.reduce((sum, each) => sum + each, 0).toLocaleString(), classes: "value" }), chart);
  const skew = state.skew_seconds;
  at("tiles").replaceChildren(
    tile("node", state.node_prefix, `idnode ${state.version}`),
    tile("serial", inbox.serial.toLocaleString(), `${word("last")} ${since(inbox.acknowledged_at, state.now)}`),
    tile("session", inbox.session ? inbox.session.slice(0, 18) : "—", inbox.session ? "" : word("no_session")),
    tile("complete", inbox.complete ? word("is_complete") : `${word("is_checking")} ${inbox.position[0] || "—"}`,
      `${total.toLocaleString()} ${word("total_rows")}`, inbox.complete ? "good-ink" : "warn-ink"),
    rate,
    tile("skew", skew === null ? "—" : skew.toFixed(1).replace("-0.0", "0.0"), skew === null ? "" : word("ahead"), Math.abs(skew || 0) > 5 ? "bad-ink" : ""),
  );
  at("alarms").replaceChildren(...state.faults_on.map((name) =>
    make("span", { text: `${word("fault_on")}${word(name)}`, classes: "alarm" })));
}

function subject(table) {
  return isChinese() ? table.chinese : table.name.replaceAll("_", " ");
}

export function drawTables(state, chosen, choose) {
  const name = (number) => (/^[0-9]+$/.test(number) ? `表${number}` : number);
  const rows = state.tables.map((table) => {
    const row = make("tr", { click: () => choose(table.number) },
      make("td", { text: name(table.number) }),
      make("td", { text: subject(table), title: table.name }), make("td", { text: word(table.cadence) }),
      make("td", { text: table.rows.toLocaleString(), classes: "number" }),
      make("td", { text: table.rejected.toLocaleString(), classes: table.rejected ? "number some" : "number" }),
      make("td", { text: table.changes.toLocaleString(), classes: "number" }),
      make("td", { text: since(table.at, state.now), title: clock(table.at) }),
      make("td", {}, make("code", { text: table.digest ? `${table.digest.slice(0, 16)}…` : "—", title: table.digest || word("unverified"),
        classes: table.digest_is_current ? "" : "quiet" })));
    row.dataset.table = table.number;
    row.tabIndex = 0;
    row.addEventListener("keydown", (event) => event.key === "Enter" && choose(table.number));
    row.classList.toggle("chosen", table.number === chosen);
    row.classList.toggle("fresh", table.at > 0 && state.now - table.at < 2);
    return row;
  });
  const body = at("tables").tBodies[0];
  const focused = document.activeElement?.dataset?.table;
  body.replaceChildren(...rows);
  if (focused) body.querySelector(`[data-table="${focused}"]`)?.focus();
  const found = state.tables.find((table) => table.number === chosen);
  at("rows_title").textContent = found ? `${name(found.number)} ${subject(found)}` : "";
}

// A row as lines, `entity.organisation.name: …`: shorter than JSON, and found at a glance.
function lines(value, path = "") {
  if (value === null || typeof value !== "object") return [[path, String(value)]];
  const inside = Array.isArray(value) ? value.map((each, place) => [place + 1, each]) : Object.entries(value);
  return inside.flatMap(([name, each]) => lines(each, path ? `${path}.${name}` : String(name)));
}

// What a field is called: by the standard in Chinese, by its path's end in English.
function label(path, labels) {
  const names = path.split(".").filter((name) => !/^[0-9]+$/.test(name));
  return (isChinese() && labels[names.join(".")]) || names.slice(-2).join(" ").replaceAll("_", " ");
}

export function drawRows({ rows, labels }, now, correct) {
  fill("rows", rows.map((row) => {
    const head = make("div", { classes: "head" }, make("b", { text: row.key }),
      make("small", { text: `#${row.serial} · ${since(row.at, now)}`, title: clock(row.at) }));
    const item = make("li", { classes: row.code ? "refused" : "" }, head);
    if (row.code) item.append(make("div", { text: `${row.code}: ${row.reason}`, classes: "bad-ink" }));
    item.append(make("dl", { classes: "fields" }, ...lines(row.body ?? "—").map(([path, value]) =>
      make("div", {}, make("dt", { text: label(path, labels), title: path }), make("dd", { text: value })))));
    if (!row.code) item.append(make("button", { text: word("correct"), click: () => correct(row.key) }));
    return item;
  }), "no_rows");
}

export function drawEpp(state, decide) {
  const { epp } = state;
  at("epp_hint").textContent = epp.queue ? `${epp.queue} ${word("epp_waiting")}` : "";
  const policy = at("policy");
  if (document.activeElement !== policy) policy.value = epp.decide_seconds === null ? "hand" : epp.decide_seconds ? "5" : "0";
  const badge = { waiting: "badge warn", granted: "badge good", refused: "badge bad" };
  const names = Object.fromEntries(epp.enterprises.map((each) => [each.ent_id, each.name]));
  const sorted = [...epp.prefixes].sort((one, other) => WAITING_FIRST[one.state] - WAITING_FIRST[other.state]);
  fill("applications", sorted.map((each) => {
    const line = make("div", { classes: "line" }, make("b", { text: each.prefix }),
      make("span", { text: word(each.state), classes: badge[each.state] }));
    if (each.state === "waiting") {
      line.append(make("button", { text: word("approve"), classes: "good", click: () => decide(each.prefix, true) }),
        make("button", { text: word("refuse"), classes: "danger", click: () => decide(each.prefix, false) }));
    }
    return make("li", {}, line,
      make("small", { text: `${each.ent_id} ${names[each.ent_id] || ""} · ${clock(each.applied_at)} ${each.message}` }));
  }), "no_applications");
  at("enterprise_count").textContent = epp.enterprises.length;
  fill("enterprises", epp.enterprises.map((each) => make("li", {},
    make("div", { classes: "line" }, make("b", { text: each.name }), make("span", { text: each.ent_id, classes: "badge" })),
    make("small", { text: `${each.credit_code} · ${clock(each.at)} · v${each.version}` }))), "no_applications");
}

export function drawRejections(state) {
  fill("rejections", state.rejections.map((each) => make("li", {},
    make("div", { classes: "line" }, make("span", { text: each.table, classes: "badge" }), make("b", { text: each.key }),
      make("span", { text: each.code, classes: "badge bad" })),
    make("small", { text: each.reason }))), "no_rejections");
}

export function drawEvents(state) {
  const label = { epp: "epp_event", lost: "lost_event", faults: "faults_event", snapshot: "snapshot_event" };
  fill("events", state.events.map((each) => make("li", { classes: each.is_fault ? "bad-ink" : "" },
    make("time", { text: clock(each.at) }), make("b", { text: word(label[each.kind] || each.kind) }),
    make("span", { text: each.text }))), "no_rows");
}

export function drawProbes(state) {
  const { probes } = state;
  const last = probes.at(-1);
  at("probe_hint").textContent = last ? `${last.target} · ${last.identifier}` : "";
  bars(at("probe_chart"), probes.map((each) => each.milliseconds), 60, (place) => !probes[place].is_ok);
  fill("probes", probes.slice(-5).reverse().map((each) => make("li", { classes: each.is_ok ? "" : "bad-ink" },
    make("time", { text: clock(each.at) }),
    make("b", { text: each.milliseconds === null ? "✗" : `${each.milliseconds.toFixed(1)} ${word("ms")}` }),
    make("span", { text: each.result }))), "no_probes");
  const place = (site) => `${site.ip} ${[["TCP", site.tcp_port], ["UDP", site.udp_port], ["HTTP", site.http_port]]
    .filter(([, port]) => port).map(([name, port]) => `${name} ${port}`).join(", ")}`;
  fill("routes", state.routes.map((route) => make("li", {}, make("b", { text: route.prefix }),
    make("span", { text: ` → ${route.sites.map(place).join("; ")} (表${route.table})` }))), "no_routes");
}

function pairs(id, found) {
  at(id).replaceChildren(...found.flatMap(([name, value]) => [make("dt", { text: name }), make("dd", { text: value })]));
}

export function drawRest(state) {
  const { heartbeat, witness } = state;
  const plain = (value) => (typeof value === "object" ? JSON.stringify(value) : String(value));
  pairs("heartbeat", heartbeat
    ? [[word("last"), since(heartbeat.at, state.now)], ...Object.entries(heartbeat.said).map(([name, value]) => [name, plain(value)])]
    : [["", word("no_heartbeat")]]);
  const logs = witness.logs.map((each) => [each.origin, `${each.size} ${word("leaves")} ${since(each.at, state.now) || "—"}`]);
  pairs("witness", [[word("verifier_key"), witness.key], ...(logs.length ? logs : [["", word("no_logs")]]),
    ...(witness.forks ? [[word("forks"), witness.forks]] : [])]);
  fill("keys", state.keys.map((key) => make("li", {}, make("code", { text: key }))), "no_rows");
}
