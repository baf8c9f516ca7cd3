// Page: asks for the state every second and draws it; sends what a person decides.

import { at, drawEpp, drawEvents, drawProbes, drawRejections, drawRest, drawRows, drawTables, drawTiles, make } from "./panels.js";
import { language, sayAll, switchLanguage, word } from "./words.js";

const SECOND = 1000;
const SHOWN_ROWS = 12;
const FAULTS = { slow_ms: "number", wrong: "percent", replaying: "percent", losing: "percent",
  down: "switch", from_the_past: "switch", disk_full: "switch", expired: "switch" };

let state = null;
let chosen = new URLSearchParams(location.search).get("table") || "";
let hiding = 0;

async function get(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(5 * SECOND), cache: "no-store" });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

async function post(path, body) {
  const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  const said = await answer.json();
  tell(answer.ok ? word("done") : said.detail);
  await refresh();
}

function tell(text) {
  at("toast").textContent = text;
  at("toast").classList.add("shown");
  clearTimeout(hiding);
  hiding = setTimeout(() => at("toast").classList.remove("shown"), 3 * SECOND);
}

function choose(number) {
  chosen = number;
  refresh();
}

function decide(prefix, pass) {
  const message = pass ? "" : prompt(word("refuse_why"));
  if (!pass && !message) return;
  post("/epp/decisions", message ? { prefix, pass, message } : { prefix, pass });
}

function correct(key) {
  const reason = prompt(word("correct_why"));
  if (reason) post("/corrections", { table: chosen, key, reason });
}

function drawFaults() {
  const box = at("faults");
  if (box.childElementCount === 0 || box.dataset.language !== String(language.index)) {
    box.dataset.language = String(language.index);
    box.replaceChildren(...Object.entries(FAULTS).map(([name, kind]) => {
      const input = make("input");
      input.type = kind === "switch" ? "checkbox" : "number";
      input.name = name;
      input.min = 0;
      if (kind !== "switch") { input.max = kind === "percent" ? 100 : 60000; input.step = kind === "percent" ? 10 : 100; }
      input.addEventListener("change", () => post("/faults", { [name]: kind === "switch" ? input.checked : Number(input.value) }));
      return make("label", {}, input, make("span", { text: word(name) }));
    }));
  }
  for (const input of box.querySelectorAll("input")) {
    const value = state.faults[input.name];
    input.parentElement.classList.toggle("on", Boolean(value));
    if (document.activeElement === input) continue;
    if (input.type === "checkbox") input.checked = value; else input.value = value;
  }
  const copies = at("copy");
  if (copies.dataset.names !== state.snapshots.join()) {
    copies.dataset.names = state.snapshots.join();
    copies.replaceChildren(...state.snapshots.map((name) => make("option", { text: name })));
  }
}

async function refresh() {
  try {
    state = await get("/state");
    if (!chosen) chosen = (state.tables.find((table) => table.rows) || state.tables[0]).number;
    const rows = await get(`/tables/${encodeURIComponent(chosen)}?limit=${SHOWN_ROWS}`);
    draw(rows);
    at("dot").className = "dot on";
    at("live").textContent = `${word("connected")} ${new Date(state.now * SECOND).toLocaleTimeString("zh-CN", { hour12: false })}`;
  } catch (error) {
    at("dot").className = "dot off";
    at("live").textContent = word("lost");
  }
}

function draw(rows) {
  drawTiles(state);
  drawTables(state, chosen, choose);
  drawRows(rows, state.now, correct);
  drawEpp(state, decide);
  drawRejections(state);
  drawFaults();
  drawEvents(state);
  drawProbes(state);
  drawRest(state);
}

async function keepFresh() {
  for (;;) {
    if (!document.hidden) await refresh();
    await new Promise((wake) => setTimeout(wake, SECOND));
  }
}

at("language").addEventListener("click", () => { switchLanguage(); if (state) refresh(); });
at("policy").addEventListener("change", (event) => {
  const value = event.target.value;
  post("/epp/policy", { decide_seconds: value === "hand" ? null : Number(value) });
});
at("restore").addEventListener("click", () => post("/restore", { name: at("copy").value }));
at("snapshot").addEventListener("click", () => post("/snapshots", { name: `copy-${Math.round(Date.now() / SECOND)}` }));
sayAll();
keepFresh();
